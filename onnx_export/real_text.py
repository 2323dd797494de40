"""What rounding costs on real text: the source files of Midtoken itself, which every installation has."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import engine
from engine.text.tokenizer import Tokenizer

Floats = NDArray[np.float32]
Score = Callable[[NDArray[np.int32]], Floats]
"""Maps ids ``[S]`` to logits ``[S, V]``."""
FILES = ("completer.py", "loading.py", "errors.py", "types.py")
WINDOW = 200
"""Number of tokens of each file."""


@dataclass(frozen=True, slots=True)
class TextFigures:
    """Bits a byte of the text before and after rounding, and the share of positions with the same best token."""

    before: float
    after: float
    same_best: float

    @property
    def loss(self) -> float:
        """The relative increase of the bits a byte."""
        return self.after / self.before - 1.0


def compare(before: Score, after: Score, tokenizer: Tokenizer, start: int, context: int) -> TextFigures:
    """Score the same text with two models. ``start`` is the id that begins a text, ``context`` the most tokens."""
    nats = [0.0, 0.0]
    size = same = count = 0
    for ids in text_ids(tokenizer, min(WINDOW, context - 1)):
        read = np.array([start, *ids[:-1]], np.int32)
        both = (before(read), after(read))
        for place, logits in enumerate(both):
            nats[place] += _nats(logits, ids)
        same += int((both[0].argmax(axis=1) == both[1].argmax(axis=1)).sum())
        count += len(ids)
        size += len(tokenizer.decode_bytes(ids))
    bits = [one / math.log(2.0) / size for one in nats]
    return TextFigures(bits[0], bits[1], same / count)


def text_ids(tokenizer: Tokenizer, most: int) -> list[Sequence[int]]:
    """The first ``most`` tokens of each file."""
    folder = Path(engine.__file__).parent
    return [tokenizer.encode((folder / name).read_text(encoding="utf-8"))[:most] for name in FILES]


def _nats(logits: Floats, ids: Sequence[int]) -> float:
    top = logits.max(axis=1, keepdims=True)
    log_z = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float((log_z - logits[np.arange(len(ids)), list(ids)]).sum(dtype=np.float64))
