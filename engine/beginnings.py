"""What may stand at the beginning of a text, in tokens: the text goes on, and how is not known yet.

The encoding of a beginning need not be the beginning of the encoding. Where a split expression looks ahead, what
follows moves a boundary: two spaces alone are one pre-token for GPT-2, before a word they are two. And where whole
pre-tokens are looked up before they are merged, a part of one is written as the merges write it, entry or not.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.types import TokenIds

CONTINUATIONS = (
    "ꙮ", "Ꙁ", "ꙁ", "\u0301", "𐄇", "1", "11", "⁜", "\u2003", "\n", "'", "s", "t", "d", "m", "ll", "re", "ve",
)  # fmt: skip
"""What a text may go on with, as far as split expressions can tell: a character of each class, rare where that can be
(letters without case, capital, small; a mark; a number; a symbol; a space), so that no merge reaches over to it; digits
for expressions that group them; and the ends of English contractions, which some expressions spell out."""

Pieces = tuple[tuple[str, int], ...]
"""Pre-tokens with the offset of their first byte, in a spelling of one character a byte."""


@dataclass(frozen=True, slots=True)
class CutPieces:
    """The encodings of the beginnings of one text, whose pre-tokens are cut, not found anew.

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
        """What the first ``length`` bytes, fewer than all, may be encoded as; the first is the likeliest."""
        if not length:
            return ((),)
        at = bisect_right(self.pieces, length - 1, key=_start) - 1
        piece, start = self.pieces[at]
        found = [self.ids[at] + write(piece[: length - start]) for write in self.write]
        return tuple(dict.fromkeys(found))


def resplit_by(data: bytes, offsets: Callable[[bytes], Sequence[int]]) -> list[str]:
    """The `CONTINUATIONS` that move a pre-token boundary of ``data``; ``offsets`` finds those of a text."""
    alone = [start for start in offsets(data) if start < len(data)]
    return [
        following
        for following in CONTINUATIONS
        if [start for start in offsets(data + following.encode()) if start < len(data)] != alone
    ]


def _start(piece: tuple[str, int]) -> int:
    return piece[1]
