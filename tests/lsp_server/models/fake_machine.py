"""A machine below a temporary folder, stores of other programs in it, and a converter that reads one line."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine import Cancelled, ExportError
from lsp_server.models.converting import IsCancelled, Precision, Progress
from lsp_server.models.machine import Machine
from lsp_server.models.registry import Registry
from tests.lsp_server.commands.command_line import make_model_folder

GGUF = b"GGUF llama 135000000 Q4_1 8192 fim apache-2.0"
"""A file that the fake converter accepts as a model; its words give the facts."""


def machine_at(folder: Path, platform: str = "linux", **environment: str) -> Machine:
    """A machine with every folder below ``folder``; nothing of the real one is visible."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return Machine(environment, home, platform, folder / "store", folder / "cache", folder / "root")


@dataclass(frozen=True)
class FakeDescription:
    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    fim: bool = False
    licence: str = ""
    bytes: int = 0
    converted_bytes: int = 0
    reason: str = ""
    warning: str = ""


class FakeConverter:
    """Accepts files that begin with `GGUF`. Calls ``during`` in the middle of a conversion."""

    def __init__(self, during: Callable[[Path], None] | None = None) -> None:
        self.conversions: list[tuple[Path, str]] = []
        self.during = during
        self.checkpoint_problem = ""
        self.wants_torch = True

    def describe_gguf(self, path: Path) -> FakeDescription:
        data = path.read_bytes()
        words = data.decode("ascii", "replace").split()
        if not words or words[0] != "GGUF":
            return FakeDescription(bytes=len(data), reason=f"{path} is no GGUF file")
        return FakeDescription(
            words[1], int(words[2]), words[3], int(words[4]), words[5] == "fim", words[6], len(data), len(data)
        )

    def needs_torch(self, folder: Path) -> bool:
        return self.wants_torch

    def describe_checkpoint(self, folder: Path) -> tuple[int, str]:
        return 494, self.checkpoint_problem

    def convert_gguf(
        self, source: Path, out: Path, precision: Precision, progress: Progress, cancelled: IsCancelled
    ) -> None:
        self.conversions.append((source, precision))
        progress(0.0, "header")
        out.mkdir()
        (out / "model.onnx").write_bytes(b"half")
        progress(0.5, "weights")
        if self.during is not None:
            self.during(out)
        if cancelled():
            raise Cancelled("the conversion was cancelled")
        if not source.exists():
            raise ExportError(f"{source} cannot be read any more; fetch it again")
        make_model_folder(out, name=source.name)
        progress(1.0, "done")

    def convert_checkpoint(self, source: Path, out: Path, precision: Precision, progress: Progress) -> None:
        self.convert_gguf(source, out, precision, progress, lambda: False)


def registry_at(folder: Path, converter: FakeConverter | None = None, **environment: str) -> Registry:
    return Registry(machine_at(folder, **environment), converter or FakeConverter())


def put_ollama(root: Path, name: str, data: bytes | None = GGUF, licence: str = "", host: str = "") -> Path:
    """Store a model as Ollama does, as ``NAME:TAG`` or ``NAMESPACE/NAME:TAG``; without a blob for None. Returns the
    path of its blob.
    """
    name, _, tag = name.partition(":")
    layers = []
    blobs = root / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data or b"gone").hexdigest()
    if data is not None:
        (blobs / f"sha256-{digest}").write_bytes(data)
    layers.append({"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": 1})
    if licence:
        of_licence = hashlib.sha256(licence.encode()).hexdigest()
        (blobs / f"sha256-{of_licence}").write_text(licence, encoding="utf-8")
        layers.append({"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{of_licence}"})
    put_manifest(root, name if "/" in name else f"library/{name}", tag, {"layers": layers}, host)
    return blobs / f"sha256-{digest}"


def put_manifest(root: Path, name: str, tag: str, raw: object, host: str = "") -> Path:
    path = root / "manifests" / (host or "registry.ollama.ai") / name / tag
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return path


def put_repository(
    root: Path, name: str, files: dict[str, bytes], commit: str = "c0ffee", *, main: bool = True
) -> Path:
    """Store a repository as the hub's clients do, its files as links to blobs. Returns the folder of its snapshot."""
    repository = root / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        path = snapshot / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(blob)
    if main:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit, encoding="ascii")
    return snapshot


def put_file(path: Path, data: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
