"""Which passes wait, and which of them is next. There are no threads and no clocks here."""

from collections.abc import Collection, Iterator, Sequence

from engine.batching.work import Interruption, Work
from engine.runtime.session import ModelSession

WIDEST_GAP = 3
"""At most this many idle slots between two busy ones are included in a pass, because another row costs less than
another pass.
"""
TURN_TOKENS = 64
"""Tokens of the chunks that may run between two passes of single tokens: one long chunk, or several short ones. The
more of them are done, the more requests meet in the next pass of single tokens."""


class PassQueue:
    """The passes that wait for ``session``. Single tokens of different slots become one pass; the others run alone.

    The two kinds take turns, and within a kind who came first is first. A request waits for one pass at a time. So with
    N slots, G = N / (`WIDEST_GAP` + 2) rounded up and none of them full, a single token waits for at most N + 2 G other
    passes and a chunk for at most N (1 + G), whatever the others do: nobody starves.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._waiting: list[Work] = []
        self._turn_tokens = 0
        self.ends = [0] * session.slots
        """How far each slot is written. After that position, a row without a request does no harm."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Add a pass to the end of the queue."""
        self._waiting.append(work)

    def of(self, interruption: Interruption) -> list[Work]:
        """The waiting passes of a request."""
        return [work for work in self._waiting if work.interruption is interruption]

    def remove(self, works: Collection[Work]) -> None:
        """Remove passes from the queue."""
        self._waiting = [work for work in self._waiting if work not in works]

    def may_begin(self, active: int) -> bool:
        """Whether the next pass should begin now, if ``active`` requests are active: all of them wait for a pass
        already, or the next pass is a chunk, which runs alone.
        """
        everybody = len(self._waiting) >= active
        return everybody or not self._steps_are_next() or any(work.is_due for work in self._waiting)

    def take(self) -> list[Work]:
        """Remove and return the passes to run next as one, in the order of their slots. At least one must wait."""
        taken = self._choose()
        self._turn_tokens = 0 if taken[0].can_join else self._turn_tokens + len(taken[0].ids)
        self.remove(taken)
        return taken

    def _steps_are_next(self) -> bool:
        chunk = next((work for work in self._waiting if not work.can_join), None)
        steps = [work for work in self._waiting if work.can_join]
        if chunk is None or not steps:
            return chunk is None
        turn_is_over = self._turn_tokens > 0 and self._turn_tokens + len(chunk.ids) > TURN_TOKENS
        return turn_is_over or any(work.is_due for work in steps)

    def _choose(self) -> list[Work]:
        if not self._steps_are_next():
            return [next(work for work in self._waiting if not work.can_join)]
        steps = [work for work in self._waiting if work.can_join]
        for work in steps:
            work.is_due = True
        return next(group for group in self._groups(steps) if steps[0] in group)

    def _groups(self, steps: Sequence[Work]) -> Iterator[list[Work]]:
        """``steps`` in the order of their slots, those of each pass together. A pass takes slots that lie side by side,
        so those between go along: a full one cannot.
        """
        group: list[Work] = []
        for work in sorted(steps, key=lambda work: work.slot):
            between = range(group[-1].slot + 1, work.slot) if group else range(0)
            is_near = len(between) <= WIDEST_GAP
            if group and not (is_near and all(self.ends[slot] < self._session.context_length for slot in between)):
                yield group
                group = []
            group.append(work)
        yield group
