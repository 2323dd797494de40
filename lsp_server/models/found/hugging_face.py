"""The cache of the Hugging Face hub, which llama.cpp shares: GGUF files, checkpoints and ONNX folders.

``models--ORG--NAME/refs/main`` names a commit; ``snapshots/COMMIT`` has the files, as links into ``blobs``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from engine import licence_of_card, reason_of
from lsp_server.models.entries import Findings, Found, Source
from lsp_server.models.found.folders import files_below, names_in, problem_of, read_small
from lsp_server.models.found.gguf_files import is_gguf_name, model_name
from lsp_server.models.machine import Machine

_PREFIX = "models--"
_DEPTH = 2  # graphs lie in a folder onnx, some GGUF files in one a quantisation
_COMMIT = re.compile(r"[0-9A-Za-z._-]{1,128}")
_MOST_README_BYTES = 4 << 20
_PICKLED = (".bin", ".pt", ".pth")


def find(machine: Machine) -> Findings:
    """What the hub's clients, and llama.cpp since March 2026, have fetched."""
    findings = Findings()
    for root, source in roots(machine):
        findings += _find_in(root, source)
    return findings


def roots(machine: Machine) -> tuple[tuple[Path, Source], ...]:
    """Where the hub's clients look, and before it ``LLAMA_CACHE``, which llama.cpp alone knows."""
    hub = (
        machine.folder("HF_HUB_CACHE")
        or machine.folder("HUGGINGFACE_HUB_CACHE")
        or _below(machine.folder("HF_HOME"), "hub")
        or machine.user_cache / "huggingface" / "hub"
    )
    own = machine.folder("LLAMA_CACHE")
    return ((hub, "hugging-face"),) if own in (None, hub) else ((own, "llama.cpp"), (hub, "hugging-face"))


def _below(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


def _find_in(root: Path, source: Source) -> Findings:
    found: list[Found] = []
    notes: list[str] = []
    try:
        repositories = [name for name in names_in(root) if name.startswith(_PREFIX)]
    except OSError as error:
        return Findings(notes=(f"the cache of the Hugging Face hub at {root} cannot be read ({reason_of(error)})",))
    for name in repositories:
        try:
            snapshot = _snapshot(root / name, root)
            if snapshot is not None:
                found += _models(name[len(_PREFIX) :].replace("--", "/"), snapshot, root, source)
        except OSError as error:
            notes.append(f"{root / name} cannot be read ({reason_of(error)})")
    return Findings(tuple(found), tuple(notes))


def _snapshot(repository: Path, root: Path) -> Path | None:
    """The commit of ``main``, else the one that was fetched last; None if nothing was."""
    snapshots = repository / "snapshots"
    try:
        commit = read_small(repository / "refs" / "main", root).decode("ascii").strip()
    except ValueError:
        commit = ""
    if _COMMIT.fullmatch(commit) and commit not in (".", "..") and (snapshots / commit).is_dir():
        return snapshots / commit
    others = [snapshots / name for name in names_in(snapshots) if (snapshots / name).is_dir()]
    return max(others, key=lambda folder: folder.stat().st_mtime_ns, default=None)


def _models(name: str, snapshot: Path, root: Path, source: Source) -> Iterator[Found]:
    if snapshot.resolve() != snapshot and not snapshot.resolve().is_relative_to(root.resolve()):
        return
    files = {path.relative_to(snapshot).as_posix(): path for path in files_below(snapshot, _DEPTH)}
    licence = _licence(snapshot, root)
    for file, path in files.items():
        if is_gguf_name(path.name):
            problem = problem_of(path, root)
            yield Found(model_name(Path(file)), path, "gguf", source, root, licence, problem, stays=f"{name}/{file}")
    if "config.json" not in files and "genai_config.json" not in files:
        return
    if any(file.endswith(".onnx") for file in files):
        yield Found(
            name, snapshot, "onnx", source, root, licence, _first_problem(files, root, (".onnx", ".json")), name
        )
    elif any(file.endswith((".safetensors", *_PICKLED)) for file in files if "/" not in file):
        problem = _first_problem(files, root, (".safetensors", ".json"))
        yield Found(name, snapshot, "checkpoint", source, root, licence, problem, name)


def _first_problem(files: dict[str, Path], root: Path, endings: tuple[str, ...]) -> str:
    for file, path in files.items():
        if file.endswith(endings) and (problem := problem_of(path, root)):
            return f"{file}: {problem}"
    return ""


def _licence(snapshot: Path, root: Path) -> str:
    """From the head of the model card; empty if it says nothing."""
    try:
        text = read_small(snapshot / "README.md", root, _MOST_README_BYTES).decode("utf-8", "replace")
    except ValueError:
        return ""
    return licence_of_card(text)
