"""What a request waits for: a forward pass in its slot, or a copy of what the slot holds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from engine.runtime.model_session import ModelSession, SavingSession
from engine.types import FloatArray, IdArray

Result = TypeVar("Result")
COPY_TOKENS = 8
"""A copy of a long slot takes as long as a pass over so many tokens, roughly."""


@dataclass(slots=True, eq=False)
class Interruption:
    """Whether the request that the work belongs to was cancelled."""

    happened: bool = False


@dataclass(slots=True, eq=False)
class Work(ABC, Generic[Result]):
    """Something to do in slot ``slot`` of ``session``. ``capacity`` is the number of positions the slot had when its
    text was written.

    ``is_shared`` says that the scheduler may run this slot together with others. The result is ``found`` or ``error``;
    ``seconds`` is how long it took. ``over`` receives one entry when the request need not wait any longer. ``is_due``
    says that the pass waited when the present turn of single tokens began.
    """

    session: ModelSession
    slot: int
    capacity: int
    interruption: Interruption
    is_shared: bool = field(default=True, kw_only=True)
    is_due: bool = field(default=False, init=False)
    found: Result | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    seconds: float = field(default=0.0, init=False)
    together: int = field(default=1, init=False)
    is_over: bool = field(default=False, init=False)
    over: "SimpleQueue[None]" = field(default_factory=SimpleQueue, init=False)

    @property
    def can_join(self) -> bool:
        """Whether it is a single token that can share a pass with other slots."""
        return False

    @property
    def tokens(self) -> int:
        """How many tokens a pass that takes as long would have."""
        return COPY_TOKENS

    @property
    def end(self) -> int | None:
        """How many positions of the slot are written afterwards; None: as many as before."""
        return None

    @abstractmethod
    def run(self) -> Result:
        """Do it. Raises as the session does."""

    def finish(self, found: Result | None, error: Exception | None = None) -> None:
        """Give the result to the request. Only the first call counts."""
        if not self.is_over:
            self.found, self.error, self.is_over = found, error, True
            self.over.put(None)


@dataclass(slots=True, eq=False)
class Pass(Work[FloatArray]):
    """The tokens ``ids``, ``[S] int32``, for the positions from ``start`` on, as `ModelSession.forward` takes them."""

    ids: IdArray
    start: int
    rows: tuple[int, ...]

    @property
    def can_join(self) -> bool:
        """See `Work`."""
        return self.is_shared and len(self.ids) == 1

    @property
    def tokens(self) -> int:
        """See `Work`."""
        return len(self.ids)

    @property
    def end(self) -> int | None:
        """See `Work`."""
        return self.start + len(self.ids)

    def run(self) -> FloatArray:
        """See `Work`."""
        return self.session.forward(self.ids, self.start, self.rows, self.slot)


@dataclass(slots=True, eq=False)
class Saving(Work[object]):
    """A copy of the first ``count`` positions, as `SavingSession.save` makes it."""

    count: int

    def run(self) -> object:
        """See `Work`."""
        assert isinstance(self.session, SavingSession)
        return self.session.save(self.slot, self.count)


@dataclass(slots=True, eq=False)
class Restoring(Work[int]):
    """The positions ``start`` to ``stop`` of what was ``saved``, back into the slot. The result is ``stop``.

    It waits for its turn, because another pass may write an idle row into the slot: behind its end, that is where the
    positions go.
    """

    saved: object
    start: int
    stop: int

    @property
    def end(self) -> int | None:
        """See `Work`."""
        return self.stop

    def run(self) -> int:
        """See `Work`."""
        assert isinstance(self.session, SavingSession)
        self.session.restore(self.saved, self.slot, self.start, self.stop)
        return self.stop
