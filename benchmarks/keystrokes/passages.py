"""What is typed: runs of whole lines of real files, each with the rest of its file around it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PASSAGE_CHARACTERS = 300
"""A passage ends with the line that reaches this many characters."""
MAX_LINE = 120


@dataclass(frozen=True, slots=True)
class Passage:
    """``text`` is typed between ``before``, which ends in the indentation of the first line, and ``after``."""

    before: str
    text: str
    after: str
    indent: str = "    "


def draw(texts: Sequence[str], characters: int, seed: int) -> list[Passage]:
    """Different passages of ``characters`` in all, or a little more; fewer if the files have no more.

    Passages begin at random lines that are not empty. Lines longer than people write by hand are left out.
    """
    chance = random.Random(seed)
    starts = [
        (number, start)
        for number, text in enumerate(texts)
        for start, line in _lines(text)
        if line.strip() and len(line) <= MAX_LINE
    ]
    chance.shuffle(starts)
    taken: list[set[int]] = [set() for _ in texts]
    passages: list[Passage] = []
    left = characters
    for number, start in starts:
        if left <= 0:
            break
        span = _span(texts[number], start, min(left, PASSAGE_CHARACTERS))
        if span is None or taken[number].intersection(span):
            continue
        taken[number].update(span)
        passage = _cut(texts[number], span)
        passages.append(passage)
        left -= len(passage.text)
    return passages


def read(paths: Sequence[Path]) -> list[str]:
    """The texts of files, and of the ``*.py`` files below folders, in order of their names; line breaks as ``\\n``."""
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return [file.read_text(encoding="utf-8") for file in files]


def _lines(text: str) -> list[tuple[int, str]]:
    start, lines = 0, []
    for line in text.split("\n"):
        lines.append((start, line))
        start += len(line) + 1
    return lines


def _span(text: str, start: int, length: int) -> range | None:
    """From a line start to the end of a line; None if a line is too long or the file ends first."""
    end = start
    while end - start < length:
        end = text.find("\n", end + 1)
        if end < 0:
            return None
    lines = text[start:end].split("\n")
    return None if any(len(line) > MAX_LINE for line in lines) else range(start, end)


def _cut(text: str, span: range) -> Passage:
    line = text[span.start : span.stop]
    first = span.start + len(line) - len(line.lstrip())
    typed = text[first : span.stop].rstrip()
    indent = "\t" if "\n\t" in text else "    "
    return Passage(text[:first], typed, text[span.stop :], indent)
