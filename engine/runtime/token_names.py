"""Where names stand in tokens. A name is a run of letters, digits, ``_`` and bytes of other alphabets, with the dots
and objects before it (``self.path``).
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import IdArray

_NAME_BYTES = (string.ascii_letters + string.digits + "_").encode() + bytes(range(0x80, 0x100))
_CHAIN_BYTES = _NAME_BYTES + b"."
_NOT_NAME = bytes(sorted(set(range(256)) - set(_NAME_BYTES)))
_NOT_CHAIN = bytes(sorted(set(range(256)) - set(_CHAIN_BYTES)))
_CHAIN = frozenset(bytes([byte]) for byte in _CHAIN_BYTES)
_FARTHEST = 64
"""How many tokens are looked at for a name, and how many it may have."""


@dataclass(frozen=True, slots=True)
class NameSpan:
    """The tokens ``start`` to ``end``, both included, hold a name; the first and the last may hold more than it."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NameEnding:
    """Tokens with which one rest of a name ends, which may be empty. ``tokens``, ``[E] int32``, write the rest, then a
    byte that is not of a name; if the rest is empty, tokens that write nothing are among them. ``beginning`` is the
    token that is the rest, or else the longest that is a start of it; -1 if there is none.
    """

    tokens: IdArray
    beginning: int


NO_NAME = -1
"""In place of the index of a token that a name begins in."""


@dataclass(frozen=True, slots=True)
class TokenNames:
    """Facts about each token, each ``[V]``. ``written`` (bool): not only white space. ``named`` (bool): holds a part of
    a name. ``starts``, ``ends`` (bool): its first, its last byte is of a name. ``opens`` (bool): its last name begins
    with its first byte, so that it may be the rest of a name. ``has_more`` (bool): something other than white space
    stands before its last name. ``rests`` (int32): the token itself if it is all name, and V + g if the rest of a name
    ends in it, or ended before it: then it is one of the tokens of ``endings[g]``.
    """

    written: NDArray[np.bool_]
    named: NDArray[np.bool_]
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]
    opens: NDArray[np.bool_]
    has_more: NDArray[np.bool_]
    rests: IdArray
    endings: tuple[NameEnding, ...]

    def last_name(self, ids: IdArray) -> int:
        """The index of the token in which the last name of ``ids``, ``[S] int32``, begins; `NO_NAME` if there is none
        near the end.
        """
        recent = ids[-_FARTHEST:]
        at = np.flatnonzero(self.named[recent])
        if not len(at):
            return NO_NAME
        start = int(at[-1])
        while start and self.opens[recent[start]] and self.ends[recent[start - 1]]:
            start -= 1
        return len(ids) - len(recent) + start

    def name_from(self, ids: IdArray, start: int) -> NameSpan:
        """The tokens of the name that begins in the token at ``start``, as far as ``ids`` go."""
        end = start
        while end + 1 < len(ids) and self.ends[ids[end]] and self.starts[ids[end + 1]]:
            end += 1
            if not self.opens[ids[end]]:  # it holds the end of this name and the start of another
                break
        return NameSpan(start, end)

    def last_written(self, ids: IdArray, end: int) -> int:
        """The index of the last token before ``end`` that is not white space; 0 if there is none."""
        while end > 0 and not self.written[ids[end - 1]]:
            end -= 1
        return max(0, end - 1)

    def first_written(self, ids: IdArray, starts: NDArray[np.intp]) -> NDArray[np.intp]:
        """For each of ``starts``, the index of the first token from there on that is not white space."""
        least = int(starts.min())
        positions = np.where(self.written[ids[least:]], np.arange(least, len(ids)), len(ids))
        following = np.minimum.accumulate(positions[::-1])[::-1]
        result: NDArray[np.intp] = following[starts - least]
        return result


def token_names(token_bytes: Sequence[bytes]) -> TokenNames:
    """The facts about tokens that write ``token_bytes``."""
    by_bytes = {data: token for token, data in reversed(list(enumerate(token_bytes))) if data}
    lasts = [data.rstrip(_NOT_CHAIN) for data in token_bytes]
    befores = [last.rstrip(_CHAIN_BYTES) for last in lasts]
    rests = [data[: len(data) - len(data.lstrip(_NAME_BYTES))] for data in token_bytes]
    ending: dict[bytes, list[int]] = {}
    for token, (data, rest) in enumerate(zip(token_bytes, rests, strict=True)):
        if rest != data or not data:
            ending.setdefault(rest, []).append(token)
    numbers = {rest: len(token_bytes) + number for number, rest in enumerate(ending)}
    return TokenNames(
        written=np.array([not data.isspace() and data != b"" for data in token_bytes]),
        named=np.array([data.rstrip(_NOT_NAME) != b"" for data in token_bytes]),
        starts=np.array([data[:1] in _CHAIN for data in token_bytes]),
        ends=np.array([data[-1:] in _CHAIN for data in token_bytes]),
        opens=np.array([last != b"" and before == b"" for last, before in zip(lasts, befores, strict=True)]),
        has_more=np.array([before.strip() != b"" for before in befores]),
        rests=np.array(
            [
                by_bytes[data] if data and rest == data else numbers[rest]
                for data, rest in zip(token_bytes, rests, strict=True)
            ],
            np.int32,
        ),
        endings=tuple(
            NameEnding(np.array(tokens, np.int32), _beginning(rest, by_bytes)) for rest, tokens in ending.items()
        ),
    )


def _beginning(rest: bytes, by_bytes: dict[bytes, int]) -> int:
    return next((by_bytes[rest[:end]] for end in range(len(rest), 0, -1) if rest[:end] in by_bytes), -1)
