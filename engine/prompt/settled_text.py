"""The tokens of a text that grows at its end: what comes before a stable boundary is encoded once."""

from dataclasses import dataclass

from engine.text.tokenizer import Tokenizer
from engine.types import TokenIds

MAX_TAIL_CHARACTERS = 512
"""If the cursor's line is longer than this, the tail does not begin before the line but at the last stable boundary
before the cursor.
"""


@dataclass(frozen=True, slots=True)
class _Settled:
    """``ids`` are those of the text up to ``boundary``, for every text that begins with ``head``."""

    head: str
    boundary: int
    ids: TokenIds


class SettledText:
    """Divides texts into context and tail. Remembers the context of the last one, for texts that go on from there. Not
    safe for use from two threads at once.
    """

    def __init__(self, tokenizer: Tokenizer, *, inside: bool = False) -> None:
        """``inside`` is that of `Tokenizer.encode_split`."""
        self._tokenizer = tokenizer
        self._inside = inside
        self._settled = _Settled("", 0, ())

    def split(self, text: str) -> tuple[TokenIds, TokenIds]:
        """What `Tokenizer.encode_split` returns for the text at a stable boundary. Raises as it does."""
        end, boundary = self._boundary(text)
        known = self._settled
        if known.boundary and boundary >= known.boundary and text.startswith(known.head):
            more, tail = self._tokenizer.encode_split(text[known.boundary :], boundary - known.boundary, inside=True)
            settled = known.ids + more
        else:
            settled, tail = self._tokenizer.encode_split(text, boundary, inside=self._inside)
        if self._tokenizer.decode_bytes(tail) == text[boundary:].encode():  # else the tail begins elsewhere
            self._settled = _Settled(text[:end], boundary, settled)
        return settled, tail

    def _boundary(self, text: str) -> tuple[int, int]:
        """Where the tail begins: before the cursor's line if that is near, because that place does not move during
        typing. Before it stands the end of the text that makes it a stable boundary, whatever follows.
        """
        line = text.rfind("\n") + 1
        boundary = self._tokenizer.split_stable(text, line)
        if len(text) - boundary <= MAX_TAIL_CHARACTERS:
            return line, boundary
        return len(text), self._tokenizer.split_stable(text)
