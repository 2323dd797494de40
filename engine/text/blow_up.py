"""Finds split expressions that take too long, by trying each on texts made for it.

The tokenizers library matches by backtracking. An expression such as ``(a+)+[bc]`` tries every way to divide a run of
letters before it gives up, so each further letter doubles the time. The library stops a single match after ten million
steps, by a panic, but it does not stop a text of many matches, and the interpreter waits meanwhile. So expressions are
tried when a model is loaded, on runs of the characters that they are made of. Short runs come first, so that the trial
itself takes little time, then longer ones. What follows a run matters, because the library first checks whether a
required character is there at all.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.errors import ContractError

LENGTHS = (24, 40, 64, 128, 512)
"""Characters of the runs. Exponential time shows in the first lengths, a high power in the others. If one length took
no time, the next takes some seconds at most.
"""
MOST_SECONDS = 0.05
"""Limit on processor time for one run; usual expressions take 0.01 to 0.1 ms."""
TRIES = 5
"""Number of tries for a run that took longer."""
NO_ACCIDENT_SECONDS = 1.0
"""If a run takes this long, one try is enough."""
_USUAL = ("a", "A", "1", " ", "\n", "\t", "!", "_", "é", "中", "\u0301", "aA", "a1", " a", " \n", "\r\n")
_MOST_UNITS = 64
_STRANGER = "\ue000"
"""A private-use character, which probably no class of an expression holds."""


def expressions(part: Any) -> Iterator[str]:
    """The regular expressions of the ``pre_tokenizer`` part of a tokenizer.json, including those inside sequences."""
    if not isinstance(part, Mapping):
        return
    pattern = part.get("pattern")
    if isinstance(pattern, Mapping) and isinstance(pattern.get("Regex"), str):
        yield pattern["Regex"]
    for member in part.get("pretokenizers") or ():
        yield from expressions(member)


def check_expressions(patterns: list[str], split: Callable[[str], object]) -> None:
    """Raise `ContractError` if ``split``, which cuts a text by ``patterns``, takes too long or gives up."""
    for pattern in patterns:
        letters = "".join(dict.fromkeys(pattern))[:_MOST_UNITS]
        for unit in _units(pattern):
            for length in LENGTHS:
                run = (unit * length)[:length]
                for text in (run + _STRANGER + letters, run + _STRANGER):
                    _try(split, text, pattern)


def _units(pattern: str) -> Iterator[str]:
    """The units that runs are made of: characters of the expression, pieces of its words, and one character of each
    usual class.
    """
    words = ["".join(c if c.isalnum() else " " for c in pattern)]
    pieces = [piece for text in words for piece in text.split()]
    pairs = [piece[at : at + size] for piece in pieces for size in (2, 3) for at in range(len(piece) - size + 1)]
    yield from dict.fromkeys([*_USUAL, *list(dict.fromkeys(pattern))[:_MOST_UNITS], *pairs[:_MOST_UNITS]])


def _try(split: Callable[[str], object], text: str, pattern: str) -> None:
    # A busy machine or a cold cache makes a short time longer now and then, but not every time.
    took = _seconds(split, text)
    for _ in range(TRIES - 1):
        if not MOST_SECONDS < took < NO_ACCIDENT_SECONDS:
            break
        took = min(took, _seconds(split, text))
    if took > MOST_SECONDS:
        raise ContractError(
            f"tokenizer.json splits text by an expression that takes too long ({pattern[:60]!r}); use another model"
        )


def _seconds(split: Callable[[str], object], text: str) -> float:
    """Processor time of this thread for one call."""
    started = time.thread_time()
    split(text)
    return time.thread_time() - started
