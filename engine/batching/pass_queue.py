"""The queue of waiting passes, and which pass is next. It has no threads and no clock."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

from engine.batching.work import Interruption, Work
from engine.runtime.model_session import ModelSession

WIDEST_GAP = 1
"""Most idle slots that a pass may include between two busy ones. With the bundled model a pass costs 1.4 ms and 0.7 ms
for each row of 600 tokens, so one idle row costs less than another pass, and two cost as much
(docs/measurements/team.md). On a device a row costs next to nothing beside a pass: see `BatchingCompleter.load`.
"""
TURN_TOKENS = 64
"""Number of tokens that chunks may take between two passes of single tokens: one long chunk or several short ones, but
no more chunks than there are slots. When more chunks are finished, more requests share the next pass of single tokens.
"""
AnyWork: TypeAlias = Work[Any]


class PassQueue:
    """The work that waits for ``session``. Single tokens of different slots become one pass; each chunk runs alone, and
    so does each copy, which counts as a chunk.

    Single tokens and chunks take turns; within each kind the order is first come, first served. A request waits for one
    pass at a time. With N slots, none of them full, and G = N / (``widest_gap`` + 2) rounded up, a single token waits
    for at most N + 2 G other passes and a chunk for at most N (1 + G). So no request starves.
    """

    def __init__(self, session: ModelSession, widest_gap: int = WIDEST_GAP) -> None:
        self._session = session
        self._widest_gap = widest_gap
        self._waiting: list[AnyWork] = []
        self._turn_tokens = self._turn_chunks = 0
        self.ends = [0] * session.slots
        """The number of positions that are written in each slot. An idle row may write there, because the next text of
        the slot overwrites it.
        """

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: AnyWork) -> None:
        """Add work to the end of the queue."""
        self._waiting.append(work)

    def of(self, interruption: Interruption) -> list[AnyWork]:
        """The waiting work of a request."""
        return [work for work in self._waiting if work.interruption is interruption]

    def remove(self, works: Collection[AnyWork]) -> None:
        """Remove work from the queue."""
        self._waiting = [work for work in self._waiting if work not in works]

    def may_begin(self, active: int) -> bool:
        """Whether the next pass should begin now, when ``active`` requests are active. It should when all of them
        already wait for a pass, or when the next pass is a chunk, which runs alone.
        """
        everybody = len(self._waiting) >= active
        return everybody or not self._steps_are_next() or any(work.is_due for work in self._waiting)

    def take(self) -> list[AnyWork]:
        """Remove and return the work of the next pass, in the order of slots. At least one pass must wait."""
        taken = self._choose()
        if taken[0].can_join:
            self._turn_tokens = self._turn_chunks = 0
        else:
            self._turn_tokens += taken[0].tokens
            self._turn_chunks += 1
        self.remove(taken)
        return taken

    def _steps_are_next(self) -> bool:
        chunk = next((work for work in self._waiting if not work.can_join), None)
        steps = [work for work in self._waiting if work.can_join]
        if chunk is None or not steps:
            return chunk is None
        is_long = self._turn_tokens > 0 and self._turn_tokens + chunk.tokens > TURN_TOKENS
        return is_long or self._turn_chunks >= self._session.slots or any(work.is_due for work in steps)

    def _choose(self) -> list[AnyWork]:
        if not self._steps_are_next():
            return [next(work for work in self._waiting if not work.can_join)]
        steps = [work for work in self._waiting if work.can_join]
        if not any(work.is_due for work in steps):  # who comes during a turn waits for the next, or chunks would starve
            for work in steps:
                work.is_due = True
        return next(group for group in self._groups(steps) if steps[0] in group)

    def _groups(self, steps: Sequence[AnyWork]) -> Iterator[list[AnyWork]]:
        """Split ``steps`` into passes, each in the order of slots. A pass covers a range of adjacent slots, so it
        includes the idle slots between. It cannot include an idle slot that is full.
        """
        group: list[AnyWork] = []
        for work in sorted(steps, key=lambda work: work.slot):
            between = range(group[-1].slot + 1, work.slot) if group else range(0)
            is_near = len(between) <= self._widest_gap
            if group and not (is_near and all(self.ends[slot] < self._session.context_length for slot in between)):
                yield group
                group = []
            group.append(work)
        yield group
