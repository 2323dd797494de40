"""Where the keys and values of places are kept: in host memory, the most recently used ones, up to a number of bytes.

One cache may have a store of its own, or the caches of many users share one. Then each finds what its user read only.
"""

import threading
from dataclasses import dataclass

import numpy as np

from engine.types import IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """``ids``, ``[S] int32``, which ``owner`` read, and their keys and values as the session ``saved`` them: ``bytes``
    bytes.
    """

    owner: str
    ids: IdArray
    saved: object
    bytes: int


class PlaceStore:
    """Places by their owner. Many threads may use it."""

    def __init__(self, limit_bytes: int = 0, most: int | None = None) -> None:
        """Keep at most ``limit_bytes``, and at most ``most`` places if that is given."""
        self._places: list[Place] = []  # the most recently used place is last
        self._limit_bytes = limit_bytes
        self._most = most
        self._promised = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def bytes(self) -> int:
        """The number of bytes that are kept now."""
        with self._lock:
            return self._held()

    def limit(self, limit_bytes: int) -> None:
        """Keep at most ``limit_bytes`` from now on."""
        with self._lock:
            self._limit_bytes = limit_bytes
            self._shrink(0)

    def make_room(self, owner: str, ids: IdArray, size: int, least: int) -> bool:
        """Make room for a place of ``ids``, ``[S] int32``, with ``size`` bytes, and promise it; False: it is too large.

        The owner's places that are a part of it, but for fewer than ``least`` tokens, go first.
        """
        with self._lock:
            if size > self._limit_bytes:
                return False
            self._places = [
                place
                for place in self._places
                if place.owner != owner or len(place.ids) - common_length(place.ids, ids) >= least
            ]
            if self._most is not None:
                del self._places[: max(0, len(self._places) + 1 - self._most)]
            self._shrink(size)
            self._promised += size
            return True

    def put(self, size: int, place: Place | None) -> None:
        """Keep the place for which ``size`` bytes were promised. None: it could not be made."""
        with self._lock:
            self._promised -= size
            if place is not None:
                self._places.append(place)
                self._shrink(0)

    def find(self, owner: str, ids: IdArray) -> tuple[Place | None, int]:
        """The place of ``owner`` that has the most leading tokens of ``ids``, and how many."""
        with self._lock:
            own = [place for place in self._places if place.owner == owner]
        lengths = [common_length(place.ids, ids) for place in own]
        if not lengths or not max(lengths):
            return None, 0
        at = int(np.argmax(lengths))
        return own[at], lengths[at]

    def use(self, place: Place) -> None:
        """Note that a place, which may be gone by now, is used."""
        with self._lock:
            if place in self._places:
                self._places.remove(place)
                self._places.append(place)

    def forget(self) -> None:
        """Forget all places."""
        with self._lock:
            self._places.clear()

    def _held(self) -> int:
        return sum(place.bytes for place in self._places)

    def _shrink(self, more: int) -> None:
        while self._places and self._held() + self._promised + more > self._limit_bytes:
            del self._places[0]


def common_length(left: IdArray, right: IdArray) -> int:
    """How many leading tokens two sequences share."""
    limit = min(len(left), len(right))
    different = np.flatnonzero(left[:limit] != right[:limit])
    return int(different[0]) if len(different) else limit
