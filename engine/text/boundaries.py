"""Where a text can be cut so that no later typing moves the token boundary: stable boundaries.

Three rules, the first two proved in `engine.text.pretokenization`, the third here:

1. The two characters around the position separate pre-tokens in every text (`Pretokenization.separates`). 2. If a
single step cuts the text, and typing only ever extends its last pre-token: the beginning of that pre-token. 3. Within
such a pre-token: a position whose two neighbouring bytes are side by side in no entry. A merge across it would make an
entry with these two bytes, so the parts left and right of it are never merged.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.text.byte_pairs import first_bytes, last_bytes
from engine.text.pretokenization import Pretokenization
from engine.text.spellings import SPACE_MARK

_BLOCK = 4096
"""Number of characters that are searched at once for a byte pair that is in no entry."""


@dataclass(frozen=True, slots=True)
class StableBoundaries:
    """The stable boundaries of texts that the vocabulary can write.

    ``split`` gives the pre-tokens of a text as the library spells them. ``added`` are the added tokens that are text.
    ``joined``, ``[256, 256] bool``, says which two bytes are side by side in some entry. ``spaced`` says that spaces
    are spelled as in SentencePiece, and ``looks_up`` that whole pre-tokens are looked up before merges are tried.
    """

    pretokenization: Pretokenization
    split: Callable[[str], list[str]]
    added: tuple[str, ...]
    joined: NDArray[np.bool_]
    spaced: bool
    looks_up: bool

    def last(self, head: str) -> int:
        """The greatest position of ``head`` that is a stable boundary by one of the three rules; 0 if there is none.

        Looks only as far back as it must.
        """
        position = self.last_separated(head)
        if not self.pretokenization.appends_only or len(self.pretokenization.steps) > 1:
            return position
        start = position
        if self.pretokenization.steps and not any(token in head[position:] for token in self.added):
            last = position + self._last_piece(head[position:])
            start = last if self._splits_no_added_token(head, last) else position
        # If whole entries are looked up, a part of a pre-token may be encoded differently from the whole.
        return start if self.looks_up else self._last_uncrossed(head, start)

    def last_separated(self, head: str) -> int:
        """The greatest position of ``head`` that is a stable boundary by the first rule; 0 if there is none."""
        for position in self.pretokenization.separated(head):
            if self._splits_no_added_token(head, position):
                return position
        return 0

    def _splits_no_added_token(self, head: str, position: int) -> bool:
        around = head[position - 1 : position + 1]
        return not any(around in token for token in self.added)

    def _last_piece(self, text: str) -> int:
        """Where the last pre-token of ``text`` begins, in characters."""
        if not text:
            return 0
        if self.spaced:
            return len(text) - len(self.split(text.replace(" ", SPACE_MARK))[-1])
        # One character of a mapped piece is one byte.
        return len(text) - len(text.encode()[-len(self.split(text)[-1]) :].decode())

    def _last_uncrossed(self, head: str, start: int) -> int:
        """The greatest position after ``start``, where a pre-token begins, that no merge can cross; else ``start``."""
        high = len(head)
        while high > start + 1:
            low = max(start, high - _BLOCK)
            data = np.frombuffer(head[low:high].encode("utf-32-le", "surrogatepass"), np.uint32)
            left, right = last_bytes(data[:-1]), first_bytes(data[1:])
            for offset in np.flatnonzero(~self.joined[left, right])[::-1].tolist():
                position = low + int(offset) + 1
                if self._splits_no_added_token(head, position):
                    piece = head[start : position + 1]
                    return position if self.pretokenization.restarts(piece, position - start) else start
            high = low + 1
        return start
