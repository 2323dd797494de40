"""The possible encodings of the beginning of a text, when it is not known yet how the text continues.

The encoding of a beginning is not always the beginning of the encoding. If a split expression looks ahead, the text
that follows can move a boundary: for GPT-2, two spaces alone are one pre-token, but before a word they are two. And if
whole pre-tokens are looked up before they are merged, a part of one is encoded by merges even if it is an entry.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from engine.types import TokenIds

CONTINUATIONS = (
    "ꙮ", "Ꙁ", "ꙁ", "\u0301", "𐄇", "1", "11", "⁜", "\u2003", "\n", "'",
    "s", "t", "d", "m", "l", "ll", "e", "re", "ve",
)  # fmt: skip
"""Possible continuations of a text, as far as split expressions can distinguish them: a character of each class
(letters without case, capital, small; a mark; a number; a symbol; a space), digits for expressions that group them, and
the ends of English contractions, which some expressions spell out. The characters are rare ones if possible, so that no
merge includes them.
"""

_REMEMBERED = 4096
"""Number of texts, as the split expressions see them, for which the moving continuations are remembered."""

Pieces = tuple[tuple[str, int], ...]
"""Pre-tokens with the offset of their first byte, spelled with one character for each byte."""


@dataclass(frozen=True, slots=True)
class CutPieces:
    """The encodings of all beginnings of one text. Its pre-tokens are cut, not searched again.

    ``ids[i]`` is the encoding of all pieces before ``pieces[i]``. ``write`` holds the functions that encode a part of a
    pre-token: two if whole pre-tokens are looked up before they are merged, otherwise one.
    """

    pieces: Pieces
    ids: tuple[TokenIds, ...]
    write: tuple[Callable[[str], TokenIds], ...]

    @classmethod
    def of(cls, pieces: Pieces, write: Sequence[Callable[[str], TokenIds]]) -> "CutPieces":
        """Encode ``pieces``."""
        before: list[TokenIds] = [()]
        for piece, _ in pieces[:-1]:
            before.append(before[-1] + write[0](piece))
        return cls(pieces, tuple(before), tuple(write))

    def encodings(self, length: int) -> tuple[TokenIds, ...]:
        """The possible encodings of the first ``length`` bytes; the one in this text comes first."""
        if not length:
            return ((),)
        at = bisect_right(self.pieces, length - 1, key=_start) - 1
        piece, start = self.pieces[at]
        found = [self.ids[at] + write(piece[: length - start]) for write in self.write]
        return tuple(dict.fromkeys(found))


class Continuations:
    """Which of the `CONTINUATIONS` move a pre-token boundary of a text. Safe to use from several threads.

    ``signature`` maps a character to what the split expressions can distinguish. Texts with equal signatures are cut at
    the same places, so the answer is remembered for all of them.
    """

    def __init__(self, signature: Callable[[str], Hashable]) -> None:
        self._signature = signature
        self._found: dict[Hashable, tuple[str, ...]] = {}

    def moving(self, text: str, offsets: Callable[[bytes], Sequence[int]]) -> tuple[str, ...]:
        """The continuations that move a boundary of ``text``, which should be short. ``offsets`` finds the pre-tokens
        of a text.
        """
        look = tuple(map(self._signature, text))
        found = self._found.get(look)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            alone = _boundaries_within(text, "", offsets)
            found = tuple(more for more in CONTINUATIONS if _boundaries_within(text, more, offsets) != alone)
            self._found[look] = found
        return found


def _boundaries_within(text: str, more: str, offsets: Callable[[bytes], Sequence[int]]) -> list[int]:
    length = len(text.encode())
    return [start for start in offsets((text + more).encode()) if start < length]


def common_length(left: TokenIds, right: TokenIds) -> int:
    """Number of leading tokens that two sequences share."""
    for number, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return number
    return min(len(left), len(right))


def _start(piece: tuple[str, int]) -> int:
    return piece[1]
