"""Sessions that tell what they are asked for."""

from collections.abc import Sequence

from engine.session import ModelSession
from engine.types import FloatArray, IdArray


class Counting:
    """A session that counts its passes; ``slots`` bounds the sequences that it holds."""

    def __init__(self, session: ModelSession, slots: int | None = None) -> None:
        self._session = session
        self._slots = session.slots if slots is None else min(slots, session.slots)
        self.passes = 0

    @property
    def context_length(self) -> int:
        """See `ModelSession`."""
        return self._session.context_length

    @property
    def slots(self) -> int:
        """See `ModelSession`."""
        return self._slots

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """See `ModelSession`."""
        self.passes += 1
        return self._session.forward(ids, start, rows, slot)

    def step(self, tokens: IdArray, starts: Sequence[int]) -> FloatArray:
        """See `ModelSession`."""
        self.passes += 1
        return self._session.step(tokens, starts)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `ModelSession`."""
        self._session.copy(source, target, start, end)
