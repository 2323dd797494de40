"""The session of a seat: one slot of the shared session, with the interface of a session of its own."""

from collections.abc import Callable, Sequence

from engine.batching.scheduler import Scheduler
from engine.batching.work import Interruption, Pass, Restoring, Result, Saving, Work
from engine.runtime.model_session import ModelSession, SavingSession, SharingSession
from engine.types import FloatArray, IdArray


class SeatSession:
    """Slot ``slot`` of ``session`` as an `InterruptibleSession` and `SavingSession` that holds one sequence."""

    def __init__(self, scheduler: Scheduler, session: ModelSession, slot: int, *, is_shared: bool = True) -> None:
        """``is_shared`` says that ``session`` is the one whose slots the scheduler runs together."""
        self._scheduler = scheduler
        self._session = session
        self._slot = slot
        self._is_shared = is_shared
        self._capacity = session.context_length
        self._interruption = Interruption()
        self.seconds = 0.0
        """Seconds that its passes ran, without the time that they waited."""
        self.passes = self.rows = 0
        """Its passes of single tokens, and how many tokens of requests were in them, its own included."""
        self.saved = self.restored_tokens = 0
        """How often what it held was saved, and how many tokens were restored."""

    @property
    def context_length(self) -> int:
        """See `ModelSession`."""
        return self._capacity

    @property
    def slots(self) -> int:
        """One: a seat holds one sequence. Several sequences run one after the other, each in a pass with those of other
        seats.
        """
        return 1

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """See `ModelSession`. Raises `Cancelled` too."""
        assert slot == 0, "a seat holds one sequence"
        work = Pass(
            self._session,
            self._slot,
            self._capacity,
            self._interruption,
            ids,
            start,
            tuple(rows),
            is_shared=self._is_shared,
        )
        try:
            return self._run(work)
        finally:
            self.seconds += work.seconds
            if work.can_join:
                self.passes, self.rows = self.passes + 1, self.rows + work.together

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """See `ModelSession`."""
        assert len(tokens) == 1, "a seat holds one sequence"
        return self.forward(tokens, starts[0], (0,), first)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Never called, because there is only one slot."""
        raise AssertionError("a seat holds one sequence")

    @property
    def position_bytes(self) -> int:
        """See `SavingSession`."""
        return self._session.position_bytes if isinstance(self._session, SavingSession) else 0

    def save(self, slot: int, end: int) -> object:
        """See `SavingSession`. Raises `Cancelled` too."""
        assert slot == 0, "a seat holds one sequence"
        work = Saving(self._session, self._slot, self._capacity, self._interruption, end, is_shared=self._is_shared)
        saved = self._run(work)
        self.saved += 1
        return saved

    def restore(self, saved: object, slot: int, start: int, end: int) -> None:
        """See `SavingSession`. Raises `Cancelled` too."""
        assert slot == 0, "a seat holds one sequence"
        work = Restoring(
            self._session, self._slot, self._capacity, self._interruption, saved, start, end, is_shared=self._is_shared
        )
        self._run(work)
        self.restored_tokens += end - start

    def interruptible(self) -> Callable[[], None]:
        """See `engine.runtime.model_session.InterruptibleSession`."""
        self._interruption = interruption = Interruption()
        return lambda: self._scheduler.cancel(interruption)

    def sibling(self) -> "SeatSession":
        """See `SharingSession`: a session with buffers of its own. Its passes run alone."""
        assert isinstance(self._session, SharingSession), "this session serves one cache only"
        return SeatSession(self._scheduler, self._session.sibling(), 0, is_shared=False)

    def _run(self, work: Work[Result]) -> Result:
        try:
            return self._scheduler.run(work)
        finally:
            if work.error is not None:
                self._capacity = min(self._capacity, self._session.context_length)
