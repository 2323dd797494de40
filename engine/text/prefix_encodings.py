"""What may stand at the beginning of a text, in tokens: the text goes on, and how is not known yet.

The encoding of a beginning need not be the beginning of the encoding. Where a split expression looks ahead, what
follows moves a boundary: two spaces alone are one pre-token for GPT-2, before a word they are two. And where whole
pre-tokens are looked up before they are merged, a part of one is written as the merges write it, entry or not.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from engine.types import TokenIds

CONTINUATIONS = (
    "ꙮ", "Ꙁ", "ꙁ", "\u0301", "𐄇", "1", "11", "⁜", "\u2003", "\n", "'",
    "s", "t", "d", "m", "l", "ll", "e", "re", "ve",
)  # fmt: skip
"""What a text may go on with, as far as split expressions can tell: a character of each class, rare where that can be
(letters without case, capital, small; a mark; a number; a symbol; a space), so that no merge reaches over to it; digits
for expressions that group them; and the ends of English contractions, which some expressions spell out."""

_REMEMBERED = 4096
"""Texts, by what they look like, for which it is remembered how they may go on."""

Pieces = tuple[tuple[str, int], ...]
"""Pre-tokens with the offset of their first byte, in a spelling of one character a byte."""


@dataclass(frozen=True, slots=True)
class CutPieces:
    """The encodings of the beginnings of one text, whose pre-tokens are cut and not searched again.

    ``ids[i]`` is the encoding of all pieces before ``pieces[i]``. ``write`` are the ways in which a part of a pre-token
    is written: two where whole pre-tokens are looked up before they are merged, else one.
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
        """What the first ``length`` bytes may be encoded as; first comes what they are in this text."""
        if not length:
            return ((),)
        at = bisect_right(self.pieces, length - 1, key=_start) - 1
        piece, start = self.pieces[at]
        found = [self.ids[at] + write(piece[: length - start]) for write in self.write]
        return tuple(dict.fromkeys(found))


class Continuations:
    """Which of the `CONTINUATIONS` move a pre-token boundary of a text. Safe to use from several threads.

    ``signature`` is what the split expressions see of a character. Texts that look the same to them are cut at the same
    places, so the answer is remembered for all of them.
    """

    def __init__(self, signature: Callable[[str], Hashable]) -> None:
        self._signature = signature
        self._found: dict[Hashable, tuple[str, ...]] = {}

    def moving(self, text: str, offsets: Callable[[bytes], Sequence[int]]) -> tuple[str, ...]:
        """Those that move a boundary of ``text``, which should be short; ``offsets`` finds the pre-tokens of a text."""
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
    """Tokens that two sequences begin with alike."""
    for number, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return number
    return min(len(left), len(right))


def _start(piece: tuple[str, int]) -> int:
    return piece[1]
