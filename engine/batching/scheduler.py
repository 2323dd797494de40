"""Run the forward passes of many requests on one thread. `PassQueue` decides which run together and in which order.

Requests run on threads of their own and wait here for their passes. A pass of single tokens waits a moment for requests
that are between two passes, so that they can share it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from engine.batching.pass_queue import WIDEST_GAP, AnyWork, PassQueue
from engine.batching.work import Interruption, Pass, Result, Work
from engine.errors import Cancelled, DeviceMemoryError
from engine.runtime.model_session import InterruptibleSession, ModelSession

PATIENCE_S = 0.001
"""How long a pass of single tokens waits for requests that are between two passes. Choosing a token takes less time."""
IDLE_S = 1.0
"""The scheduler's thread ends after this time without work. The next pass starts a new one."""


@dataclass(slots=True)
class PassCounts:
    """What was run. ``steps`` are passes of single tokens, with ``step_rows`` rows for requests and ``idle_rows`` rows
    for none. ``chunks`` are the other passes, with ``chunk_tokens`` tokens; ``copies`` are no passes.
    """

    steps: int = 0
    step_rows: int = 0
    idle_rows: int = 0
    chunks: int = 0
    chunk_tokens: int = 0
    copies: int = 0


class Scheduler:
    """Runs the passes of one session on one thread, for requests on any threads."""

    def __init__(
        self,
        session: ModelSession,
        *,
        patience_s: float = PATIENCE_S,
        widest_gap: int = WIDEST_GAP,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._session = session
        self._patience_s = patience_s
        self._clock = clock
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting = PassQueue(session, widest_gap)
        self._running: list[AnyWork] = []
        self._interrupt: Callable[[], None] | None = None
        self._active = 0
        self.counts = PassCounts()

    @contextmanager
    def active(self) -> Iterator[None]:
        """While this context is open, a request will soon ask for a pass, so others may wait a moment for it."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @contextmanager
    def away(self) -> Iterator[None]:
        """While this context is open, an active request does something else that may take long. Others do not wait for
        it.
        """
        self._count(-1)
        try:
            yield
        finally:
            self._count(1)

    def run(self, work: Work[Result]) -> Result:
        """Do ``work`` and return its result. Raises `Cancelled` as soon as its request is cancelled, and any error of
        the work.
        """
        with self._changed:
            if work.interruption.happened:
                raise Cancelled("the completion was cancelled")
            self._waiting.add(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="midtoken-batches", daemon=True)
                self._thread.start()
            elif not self._running and self._waiting.may_begin(self._active):
                self._changed.notify_all()
        work.over.get()
        if work.error is not None:
            raise work.error
        assert work.found is not None
        return work.found

    def cancel(self, interruption: Interruption) -> None:
        """Cancel the work of a request. Waiting work is removed. A running pass is stopped if no other request needs
        it.
        """
        with self._changed:
            interruption.happened = True
            waiting = self._waiting.of(interruption)
            self._waiting.remove(waiting)
            for work in [*waiting, *(work for work in self._running if work.interruption is interruption)]:
                work.finish(None, Cancelled("the completion was cancelled"))
            if self._interrupt is not None and self._running and all(work.is_over for work in self._running):
                self._interrupt()
            self._changed.notify_all()

    def _count(self, change: int) -> None:
        with self._changed:
            self._active += change
            if change < 0 and self._waiting and self._waiting.may_begin(self._active):
                self._changed.notify_all()

    def _serve(self) -> None:
        while batch := self._next():
            self._run(batch)
            with self._changed:
                self._running = []

    def _next(self) -> list[AnyWork]:
        """The work of the next pass, as soon as it may begin; empty after a long time without work."""
        with self._changed:
            deadline = time.monotonic() + self._patience_s
            while not self._waiting or not self._waiting.may_begin(self._active):
                if not self._waiting:
                    if not self._changed.wait(IDLE_S) and not self._waiting:
                        self._thread = None
                        return []
                    deadline = time.monotonic() + self._patience_s
                elif (left := deadline - time.monotonic()) <= 0 or not self._changed.wait(left):
                    break
            self._running = batch = self._waiting.take()
            session = batch[0].session
            self._interrupt = session.interruptible() if isinstance(session, InterruptibleSession) else None
            return batch

    def _run(self, batch: list[AnyWork]) -> None:
        batch = self._without_stale(batch)
        steps = [work for work in batch if isinstance(work, Pass)]
        if len(steps) > 1:
            try:
                self._step(steps)
            except Exception:  # one request must not fail the others: each runs alone
                for work in steps:
                    self._alone(work)
        elif batch:
            self._alone(batch[0])

    def _without_stale(self, batch: list[AnyWork]) -> list[AnyWork]:
        """Drop the work whose keys and values are lost, because a pass that ran out of memory left smaller, empty
        buffers.
        """
        for work in batch:
            left = work.session.context_length
            if work.capacity > left:
                work.finish(None, DeviceMemoryError(f"the device ran out of memory; the context is {left} tokens now"))
        return [work for work in batch if not work.is_over]

    def _step(self, batch: list[Pass]) -> None:
        """Run one token of each request of ``batch`` in one pass. ``batch`` is in the order of slots."""
        first, last = batch[0].slot, batch[-1].slot
        tokens = np.zeros(last - first + 1, np.int32)
        starts = self._waiting.ends[first : last + 1]
        for work in batch:
            tokens[work.slot - first] = work.ids[0]
            starts[work.slot - first] = work.start
        began = self._clock()
        rows = self._session.step(tokens, starts, first)
        seconds = self._clock() - began
        self.counts.steps += 1
        self.counts.step_rows += len(batch)
        self.counts.idle_rows += len(tokens) - len(batch)
        with self._changed:
            for work in batch:
                self._waiting.ends[work.slot] = work.start + 1
                work.seconds, work.together = seconds, len(batch)
                at = work.slot - first
                work.finish(rows[at : at + len(work.rows)])

    def _alone(self, work: AnyWork) -> None:
        began = self._clock()
        error: Exception | None = None
        found: object = None
        try:
            found = work.run()
        except Exception as reason:  # the request gets any error, and this thread goes on
            error = reason
        if work.is_shared and work.end is not None:
            self._waiting.ends[work.slot] = work.end
        self._count_alone(work)
        with self._changed:
            work.seconds = self._clock() - began
            work.finish(found, error)

    def _count_alone(self, work: AnyWork) -> None:
        if work.can_join:
            self.counts.steps += 1
            self.counts.step_rows += 1
        elif isinstance(work, Pass):
            self.counts.chunks += 1
            self.counts.chunk_tokens += work.tokens
        else:
            self.counts.copies += 1
