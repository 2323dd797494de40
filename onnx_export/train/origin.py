"""The origin of a model that began as another maker's model, and its quality on plain code before our training."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.corpus import Corpus
from onnx_export.train.foreign import Foreign
from onnx_export.train.held_out import bits_per_byte, torch_scorer
from onnx_export.train.loop import TrainingSettings

ORIGIN_FILE = "started_from.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """``bits_before`` are bits per byte of held-out plain text; None if the corpus has no held-out files. ``fresh``
    counts the control tokens that were new to the model.
    """

    name: str
    licence: str
    fresh: int
    bits_before: float | None


def origin_of(
    foreign: Foreign, model: Any, tokenizer: Tokenizer, corpus: Corpus, settings: TrainingSettings, out: Path
) -> Origin:
    """Measure the untrained model once and keep it in the run's folder; a resumed run reads it there.

    Errors: TrainingError if the file is damaged or of another model, or cannot be written.
    """
    path = out / ORIGIN_FILE
    if path.exists():
        return _read(path, foreign)
    bits = None
    if corpus.held_out:
        model.to(settings.device)
        score = torch_scorer(model)
        bits = bits_per_byte(score, tokenizer, corpus.held_out, settings.window, settings.held_out_windows)
        print(f"before training: {bits:.3f} bits a byte of held-out plain text", flush=True)
    origin = Origin(foreign.name, foreign.licence, len(foreign.fresh), bits)
    text = json.dumps(asdict(origin), indent=2) + "\n"
    write_atomically(path, lambda temporary: _write(temporary, text))
    return origin


def _read(path: Path, foreign: Foreign) -> Origin:
    try:
        origin = Origin(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} is damaged ({error}): delete its folder to start again") from None
    if origin.name != foreign.name:
        raise TrainingError(f"{path.parent} is the folder of a run from {origin.name}: choose another --out")
    return origin


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
