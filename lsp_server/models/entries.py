"""The values of this room: what was found, what is known of it, and a row of the table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["bundled", "added", "ollama", "lm-studio", "llama.cpp", "hugging-face", "path"]
"""Where a model comes from; ``path`` is one that the user named."""
Kind = Literal["gguf", "checkpoint", "onnx"]
State = Literal["ready", "convertible", "unusable"]

PLACES: dict[Source, str] = {
    "bundled": "bundled",
    "added": "added",
    "ollama": "Ollama",
    "lm-studio": "LM Studio",
    "llama.cpp": "llama.cpp",
    "hugging-face": "Hugging Face",
    "path": "path",
}
"""How a source is called in a sentence or a table."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model where another program keeps it.

    ``path`` is the file or folder to read, ``root`` the folder that nothing of it may lie outside of. ``licence`` is
    what stands beside it, for a model that states none itself; ``problem`` says why it cannot even be looked at.
    ``stays`` is its name in stores where another version has another path.
    """

    name: str
    path: Path
    kind: Kind
    source: Source
    root: Path
    licence: str = ""
    problem: str = ""
    stays: str = ""

    @property
    def identity(self) -> str:
        """What stays the same when another version of the model is fetched."""
        return self.stays or str(self.path)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the stores of other programs hold; ``notes`` name those that cannot be read, one line each."""

    found: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.found + other.found, self.notes + other.notes)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model says of itself. Zero and empty: it does not say; ``fim`` is None then.

    ``needed_bytes`` is about what it takes in our store; ``reason`` says why it cannot be used, empty if it can;
    ``warning`` what to know before it is added.
    """

    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    fim: bool | None = None
    licence: str = ""
    bytes: int = 0
    needed_bytes: int = 0
    reason: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A row of the table. ``reason`` says why a model cannot be used, or what to know of one that can."""

    name: str
    path: Path
    source: Source
    facts: Facts
    state: State
    reason: str = ""
    found: Found | None = None

    def to_json(self) -> dict[str, object]:
        """As ``midtoken models --json`` has it; null is what is not known."""
        facts = self.facts
        return {
            "name": self.name,
            "path": str(self.path),
            "source": self.source,
            "architecture": facts.architecture or None,
            "parameters": facts.parameters or None,
            "quantization": facts.quantization or None,
            "context": facts.context or None,
            "fim": facts.fim,
            "licence": facts.licence or None,
            "bytes": facts.bytes,
            "state": self.state,
            "reason": self.reason or None,
        }
