"""Sessions that tests can hold up, watch and make fail, and threads that wait for them."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from engine.batching.scheduler import Scheduler
from engine.batching.seat_session import SeatSession
from engine.errors import WeightsError
from engine.types import FloatArray, IdArray
from tests.fakes import FakeSession, LogitsOf, hash_model

SIZE = 7
MODEL = hash_model(SIZE, order=1000)
Result = TypeVar("Result")
LONG_S = 60.0
"""Upper limit for waiting; only a failing test waits this long."""


class WatchedSession(FakeSession):
    """A session whose ``log`` has the slots of each pass that began. A pass sets ``began``, waits for ``gate``, and
    fails if it reads the token ``poison``.
    """

    def __init__(self, logits_of: LogitsOf = MODEL, *, slots: int = 4, context_length: int = 256) -> None:
        super().__init__(logits_of, slots=slots, context_length=context_length)
        self.log: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.poison: int | None = None

    def _write(self, slots: Sequence[int], ids: IdArray, starts: Sequence[int]) -> None:
        self.log.append(tuple(slots))
        self.began.release()
        assert self.gate.wait(LONG_S)
        if self.poison is not None and self.poison in ids:
            raise WeightsError("the fake weights give no numbers")
        super()._write(slots, ids, starts)


class Caller(Generic[Result]):
    """Calls a function on a thread of its own. ``result`` waits for it and returns its result or raises its error."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._value: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Result:
        self._thread.join(LONG_S)
        assert self.is_done, "it hangs"
        if self._error is not None:
            raise self._error
        return cast(Result, self._value)


def seats_over(session: WatchedSession, *, patience_s: float = 0.0) -> tuple[Scheduler, list[SeatSession]]:
    scheduler = Scheduler(session, patience_s=patience_s)
    return scheduler, [SeatSession(scheduler, session, slot) for slot in range(session.slots)]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until other threads have made a condition true."""
    for _ in range(int(LONG_S * 1000)):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came true")


def row_after(*tokens: int) -> FloatArray:
    return MODEL(tokens)
