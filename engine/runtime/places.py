"""Keys and values of places that were read before, kept in host memory.

A slot holds one sequence. A user who switches files, jumps to another function or undoes a change often comes back to a
sequence that was read before. So keys and values are copied out before they are overwritten, and copied back instead of
running a pass. The most recently used ones are kept, up to a number of bytes.
"""

from dataclasses import dataclass

import numpy as np

from engine.runtime.model_session import ModelSession, SavingSession
from engine.types import IdArray

MOST_LEAST_TOKENS = 128
LEAST_TOKENS = 8
"""A place is worth a copy if reading its tokens again would take `WORTH_S`: the bounds of how many that is."""
MOST_PLACES = 12
"""Files that somebody goes back and forth between: more places of a quick model would only fill the memory."""
WORTH_S = 0.016
"""A copy takes a tenth of that, even of a long place."""


@dataclass(frozen=True, slots=True)
class _Place:
    """``ids``, ``[S] int32``, and their keys and values as the session saved them."""

    ids: IdArray
    saved: object


class Places:
    """The places of one session that were left last; nothing if the session cannot save."""

    def __init__(self, session: ModelSession, limit_bytes: int = 0) -> None:
        saves = isinstance(session, SavingSession) and session.position_bytes > 0
        self._session = session if saves and isinstance(session, SavingSession) else None
        self._places: list[_Place] = []  # the most recently used place is last
        self._limit_bytes = limit_bytes
        self._least = MOST_LEAST_TOKENS

    def price(self, tokens_per_s: float) -> None:
        """The model reads so fast: that decides how few tokens are worth a copy."""
        self._least = int(min(MOST_LEAST_TOKENS, max(LEAST_TOKENS, WORTH_S * tokens_per_s)))

    def limit(self, limit_bytes: int) -> None:
        """Keep at most ``limit_bytes`` from now on."""
        self._limit_bytes = limit_bytes
        self._shrink()

    @property
    def bytes(self) -> int:
        """The number of bytes that are kept now."""
        if self._session is None:
            return 0
        return sum(len(place.ids) for place in self._places) * self._session.position_bytes

    def leave(self, slot: int, held: IdArray, common: int) -> None:
        """Save a slot that holds ``held``, ``[S] int32``, and is about to lose everything after its first
        ``common`` tokens.
        """
        if self._session is None or len(held) - common < self._least:
            return
        if len(held) * self._session.position_bytes > self._limit_bytes:
            return
        # The new place holds nearly all of an older one, which is then no longer needed.
        self._places = [p for p in self._places if len(p.ids) - common_length(p.ids, held) >= self._least]
        del self._places[: max(0, len(self._places) + 1 - MOST_PLACES)]
        self._shrink(len(held))
        try:
            self._places.append(_Place(held.copy(), self._session.save(slot, len(held))))
        except MemoryError:
            self._places.clear()

    def known(self, ids: IdArray) -> int:
        """The largest number of leading tokens of ``ids`` that a place has."""
        return max((common_length(place.ids, ids) for place in self._places), default=0)

    def bring(self, slot: int, ids: IdArray, held: int, wanted: int) -> int:
        """Copy what a place has of the first ``wanted`` tokens of ``ids`` to ``slot``, which holds the first ``held``.

        Returns how many it holds then. A few more are not worth it.
        """
        if self._session is None or not self._places:
            return held
        lengths = [min(common_length(place.ids, ids), wanted) for place in self._places]
        at = int(np.argmax(lengths))
        if lengths[at] - held < self._least:
            return held
        place = self._places.pop(at)
        self._places.append(place)
        self._session.restore(place.saved, slot, held, lengths[at])
        return lengths[at]

    def forget(self) -> None:
        """Forget all places."""
        self._places.clear()

    def _shrink(self, more: int = 0) -> None:
        if self._session is None:
            return
        while self._places and self.bytes + more * self._session.position_bytes > self._limit_bytes:
            del self._places[0]


def common_length(left: IdArray, right: IdArray) -> int:
    """How many leading tokens two sequences share."""
    limit = min(len(left), len(right))
    different = np.flatnonzero(left[:limit] != right[:limit])
    return int(different[0]) if len(different) else limit
