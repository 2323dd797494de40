"""A forward pass that a request waits for."""

from dataclasses import dataclass, field
from queue import SimpleQueue

from engine.runtime.session import ModelSession
from engine.types import FloatArray, IdArray


@dataclass(slots=True, eq=False)
class Interruption:
    """Whether the request that some passes belong to was cancelled."""

    happened: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """``ids``, ``[S] int32``, for the positions from ``start`` on of a slot of ``session``, as `ModelSession.forward`
    takes them.

    ``is_shared`` says that the slot belongs to the session whose slots run together. ``capacity`` is the number of
    positions of a slot when the text before ``start`` was written. The result is ``found`` or ``error``; ``seconds`` is
    how long its pass took. ``over`` gets one entry as soon as its request need not wait any longer. ``is_due`` says
    that it has already waited for others.
    """

    session: ModelSession
    slot: int
    ids: IdArray
    start: int
    rows: tuple[int, ...]
    capacity: int
    interruption: Interruption
    is_shared: bool = True
    is_due: bool = False
    found: FloatArray | None = None
    error: Exception | None = None
    seconds: float = 0.0
    is_over: bool = False
    over: "SimpleQueue[None]" = field(default_factory=SimpleQueue)

    @property
    def can_join(self) -> bool:
        """Whether it is one token, which goes into one pass with those of other slots."""
        return self.is_shared and len(self.ids) == 1

    def finish(self, found: FloatArray | None, error: Exception | None = None) -> None:
        """Give its request the result; only the first call counts."""
        if not self.is_over:
            self.found, self.error, self.is_over = found, error, True
            self.over.put(None)
