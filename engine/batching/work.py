"""One forward pass that a request waits for."""

from dataclasses import dataclass, field
from queue import SimpleQueue

from engine.runtime.model_session import ModelSession
from engine.types import FloatArray, IdArray


@dataclass(slots=True, eq=False)
class Interruption:
    """Whether the request that these passes belong to was cancelled."""

    happened: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """The tokens ``ids``, ``[S] int32``, for the positions from ``start`` on in slot ``slot`` of ``session``, as
    `ModelSession.forward` takes them.

    ``is_shared`` says that the scheduler may run this slot together with others. ``capacity`` is the number of
    positions the slot had when the text before ``start`` was written. The result is ``found`` or ``error``; ``seconds``
    is how long the pass took. ``over`` receives one entry when the request need not wait any longer. ``is_due`` says
    that the pass waited when the present turn of single tokens began.
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
    together: int = 1
    is_over: bool = False
    over: "SimpleQueue[None]" = field(default_factory=SimpleQueue)

    @property
    def can_join(self) -> bool:
        """Whether it is a single token that can share a pass with other slots."""
        return self.is_shared and len(self.ids) == 1

    def finish(self, found: FloatArray | None, error: Exception | None = None) -> None:
        """Give the result to the request. Only the first call counts."""
        if not self.is_over:
            self.found, self.error, self.is_over = found, error, True
            self.over.put(None)
