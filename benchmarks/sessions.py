"""Sessions that count what they are asked for."""

from collections.abc import Sequence

from engine.runtime.model_session import ModelSession, SharingSession
from engine.types import FloatArray, IdArray


class Counting:
    """A session that counts its passes and those of its siblings; ``slots`` bounds the sequences that it holds."""

    def __init__(self, session: ModelSession, slots: int | None = None, parent: "Counting | None" = None) -> None:
        self._session = session
        self._slots = session.slots if slots is None else min(slots, session.slots)
        self._counter: Counting = parent or self
        self.passes = 0

    def sibling(self) -> "Counting":
        """See `engine.runtime.model_session.SharingSession`."""
        assert isinstance(self._session, SharingSession)
        return Counting(self._session.sibling(), self._slots, self._counter)

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
        self._counter.passes += 1
        return self._session.forward(ids, start, rows, slot)

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """See `ModelSession`."""
        self._counter.passes += 1
        return self._session.step(tokens, starts, first)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `ModelSession`."""
        self._session.copy(source, target, start, end)
