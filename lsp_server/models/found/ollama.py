"""Ollama's models: a JSON manifest a tag, whose layers are files named by their SHA-256.

``manifests/HOST/NAMESPACE/NAME/TAG`` names the layer of media type ``application/vnd.ollama.image.model`` with the
digest ``sha256:H``; its file is ``blobs/sha256-H``.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from engine import reason_of
from lsp_server.models.entries import Findings, Found
from lsp_server.models.found.folders import files_below, problem_of, read_small
from lsp_server.models.machine import Machine

_MODEL = "application/vnd.ollama.image.model"
_LICENCE = "application/vnd.ollama.image.license"
_ADAPTER = "application/vnd.ollama.image.adapter"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_DEPTH = 6  # a host, namespaces, a name
_MOST_LICENCE_CHARACTERS = 60


def find(machine: Machine) -> Findings:
    """What Ollama has pulled, for the user and for its service."""
    found: list[Found] = []
    notes: list[str] = []
    for root in roots(machine):
        try:
            found += _models(root)
        except OSError as error:
            notes.append(f"Ollama's models at {root} cannot be read ({reason_of(error)})")
    return Findings(tuple(found), tuple(notes))


def roots(machine: Machine) -> tuple[Path, ...]:
    """``OLLAMA_MODELS``, else the user's folder; on Linux that of the service too."""
    own = machine.folder("OLLAMA_MODELS") or machine.home / ".ollama" / "models"
    service = machine.root / "usr/share/ollama/.ollama/models"
    return (own, service) if machine.platform == "linux" and service != own else (own,)


def _models(root: Path) -> Iterator[Found]:
    manifests = root / "manifests"
    for path in files_below(manifests, _DEPTH):
        parts = path.relative_to(manifests).parts
        if len(parts) >= 3 and not path.name.startswith("."):
            yield _model(root, path, name_of(parts))


def name_of(parts: tuple[str, ...]) -> str:
    """As ``ollama list`` shows it: ``qwen2.5-coder:0.5b``; the host and the library that everybody means are left out.

    >>> name_of(("registry.ollama.ai", "library", "qwen2.5-coder", "0.5b"))
    'qwen2.5-coder:0.5b'
    """
    *place, tag = parts
    if place[0] == "registry.ollama.ai":
        place = place[1:]
        if place[0] == "library" and len(place) > 1:
            place = place[1:]
    return f"{'/'.join(place)}:{tag}"


def _model(root: Path, manifest: Path, name: str) -> Found:
    try:
        layers = _layers(json.loads(read_small(manifest, root)))
        path = _blob(root, layers)
    except (ValueError, RecursionError) as error:
        reason = "it is no JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)
        return Found(name, manifest, "gguf", "ollama", root, problem=f"Ollama's manifest {manifest}: {reason}")
    problem = problem_of(path, root)
    if problem and not os.path.lexists(path):
        problem = f"Ollama's manifest names {path.name}, which is gone; pull it again: ollama pull {name}"
    return Found(name, path, "gguf", "ollama", root, licence=_licence(root, layers), problem=problem, stays=name)


def _layers(raw: object) -> list[tuple[str, str]]:
    """Media types and digests. Raises ValueError."""
    layers = raw.get("layers") if isinstance(raw, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ValueError("it lists no layers")
    return [(str(layer.get("mediaType")), str(layer.get("digest"))) for layer in layers]


def _blob(root: Path, layers: list[tuple[str, str]]) -> Path:
    models = [digest for kind, digest in layers if kind == _MODEL]
    if any(kind == _ADAPTER for kind, _ in layers):
        raise ValueError("it is an adapter upon another model, which cannot be converted")
    if len(models) != 1:
        raise ValueError(f"it names {len(models)} files of weights where one belongs")
    return _blob_of(root, models[0])


def _blob_of(root: Path, digest: str) -> Path:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError("it names a layer by something that is no SHA-256")
    return root / "blobs" / f"sha256-{match[1]}"


def _licence(root: Path, layers: list[tuple[str, str]]) -> str:
    """The first line of the licence's text; empty if there is none to be read."""
    for kind, digest in layers:
        if kind == _LICENCE:
            try:
                text = read_small(_blob_of(root, digest), root).decode("utf-8", "replace")
            except ValueError:
                continue
            return next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")[
                :_MOST_LICENCE_CHARACTERS
            ]
    return ""
