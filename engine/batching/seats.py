"""Seats for requests: one slot for each document, kept for its next request, and a waiting line of limited length."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from engine.errors import BatchFull
from engine.types import CancellationToken

LEAST_RETRY_S = 0.05
Place = TypeVar("Place")


@dataclass(slots=True, eq=False)
class Seat(Generic[Place]):
    """One seat. ``document`` is the document whose keys and values are in its slot, empty if unknown. ``last`` orders
    the seats by the time when they were left.
    """

    place: Place
    document: str = ""
    is_taken: bool = False
    last: int = 0


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Place]):
    document: str
    seat: Seat[Place] | None = None
    called: "SimpleQueue[None]" = field(default_factory=SimpleQueue)


class Seats(Generic[Place]):
    """Gives each request a seat: the seat of its document, or else the free seat that was left longest ago.

    A request that finds no seat waits in line. A free seat goes to the first request in line that can take it. A
    request therefore waits for at most as many others to end as stood before it. One exception: a request whose
    document is in use waits for that seat, and others may overtake it.
    """

    def __init__(
        self, places: Sequence[Place], most_waiting: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        assert places
        self._seats = [Seat(place) for place in places]
        self._most_waiting = most_waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._line: list[_Waiting[Place]] = []
        self._left = 0
        self._request_s = 0.0
        self.refused = 0

    @property
    def taken(self) -> int:
        """Number of requests that have a seat."""
        return sum(seat.is_taken for seat in self._seats)

    @property
    def waiting(self) -> int:
        """Number of requests in line."""
        return len(self._line)

    def __len__(self) -> int:
        return len(self._seats)

    @contextmanager
    def sit(self, document: str, cancel: CancellationToken) -> Iterator[Place]:
        """Take a seat for a request of ``document`` (empty: no document in particular) while the context is open.

        Raises `BatchFull` if the line is full, `Cancelled` if the request is cancelled in line.
        """
        seat = self._find(document, cancel)
        began = self._clock()
        try:
            yield seat.place
        finally:
            with self._lock:
                took = self._clock() - began
                self._request_s = took if not self._request_s else 0.9 * self._request_s + 0.1 * took
                self._left += 1
                seat.is_taken, seat.last = False, self._left
                self._call()

    def _find(self, document: str, cancel: CancellationToken) -> Seat[Place]:
        waiting: _Waiting[Place] = _Waiting(document)
        with self._lock:
            self._line.append(waiting)
            self._call()
            if waiting.seat is None and len(self._line) > self._most_waiting:
                self._line.remove(waiting)
                self.refused += 1
                raise BatchFull(self._retry_after_s())
        if waiting.seat is None:
            cancel.on_cancel(lambda: waiting.called.put(None))
        waiting.called.get()
        with self._lock:
            if waiting.seat is None:
                self._line.remove(waiting)
                cancel.raise_if_cancelled()
            assert waiting.seat is not None
            return waiting.seat

    def _call(self) -> None:
        """Give free seats to the requests in line that can take them."""
        for waiting in list(self._line):
            seat = self._seat_for(waiting.document)
            if seat is not None:
                self._line.remove(waiting)
                seat.is_taken, seat.document = True, waiting.document
                waiting.seat = seat
                waiting.called.put(None)

    def _seat_for(self, document: str) -> Seat[Place] | None:
        own = next((seat for seat in self._seats if document and seat.document == document), None)
        if own is not None:
            return None if own.is_taken else own
        free = [seat for seat in self._seats if not seat.is_taken]
        return min(free, key=lambda seat: seat.last, default=None)

    def _retry_after_s(self) -> float:
        """Seconds until there may be room: the time that the requests in line will take."""
        return max(LEAST_RETRY_S, self._request_s * (len(self._line) + 1) / len(self._seats))
