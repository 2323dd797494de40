"""Debounce, latest request wins, cancellation: what stands between a request and the model thread."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from engine import CancellationToken, Cancelled
from lsp_server.worker import ModelThread

T = TypeVar("T")
RequestKind = Literal["inline", "list"]
Job: TypeAlias = Callable[[CancellationToken], T]


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who asks: the document, the version of it, and the kind of completion."""

    uri: str
    version: int
    kind: RequestKind

    def supersedes(self, older: "Ticket") -> bool:
        """Whether nobody needs the older answer any more.

        An editor may ask for ghost text and for a list at the same place, and wants both.
        """
        return self.uri == older.uri and (self.kind == older.kind or self.version > older.version)


@dataclass(eq=False, slots=True)
class Running:
    """A request between its arrival and its answer."""

    ticket: Ticket
    token: CancellationToken = field(default_factory=CancellationToken)
    task: "asyncio.Future[Any] | None" = None
    superseded: bool = False

    def drop(self) -> None:
        """Answer empty now and make the model stop at its next step."""
        self.superseded = True
        self.token.cancel()
        if self.task is not None:
            self.task.cancel()


class Scheduler:
    """Runs each request on the model thread unless a newer one, a cancellation or a closed document is faster."""

    def __init__(self, thread: ModelThread) -> None:
        self._thread = thread
        self._running: set[Running] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when the first request comes and when the last one is answered."""

    async def run(
        self, ticket: Ticket, job: Job[T], *, delay_s: float, ready: Callable[[], Awaitable[bool]]
    ) -> T | None:
        """The job's result; None if the request was superseded or `drop_document` dropped it.

        ``ready`` is awaited after the delay and before the job is queued, and a false result of it ends the request.
        `asyncio.CancelledError` from outside passes through, after the model was told to stop.
        """
        self.supersede(ticket)
        entry = Running(ticket)
        task = asyncio.ensure_future(self._work(entry, job, delay_s, ready))
        entry.task = task
        self._running.add(entry)
        if len(self._running) == 1:
            self.on_change()
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if entry.superseded and not (current and current.cancelling()):
                return None
            raise
        finally:
            entry.token.cancel()
            self._running.discard(entry)
            if not self._running:
                # A little later: the answer is in the figures by then, or the next request is here.
                asyncio.get_running_loop().call_soon(self.on_change)

    def supersede(self, ticket: Ticket) -> None:
        """Requests that nobody needs now that ``ticket`` came answer empty."""
        self._drop(entry for entry in self._running if ticket.supersedes(entry.ticket))

    def drop_document(self, uri: str) -> None:
        """The document was closed: its requests answer empty."""
        self._drop(entry for entry in self._running if entry.ticket.uri == uri)

    def drop_all(self) -> None:
        """The server is leaving."""
        self._drop(self._running)

    async def finish(self, timeout_s: float) -> None:
        """Drop everything, and wait until all have been told, but no longer than that."""
        self.drop_all()
        end = time.monotonic() + timeout_s
        while not self.idle and time.monotonic() < end:
            await asyncio.sleep(0.001)

    @property
    def idle(self) -> bool:
        return not self._running

    async def _work(
        self, entry: Running, job: Job[T], delay_s: float, ready: Callable[[], Awaitable[bool]]
    ) -> T | None:
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        if not await ready():
            return None
        try:
            # Cancelled while it is queued, the job never starts; while it runs, the token stops it.
            return await asyncio.wrap_future(self._thread.submit(lambda: job(entry.token)))
        except Cancelled:
            return None

    def _drop(self, entries: Iterable[Running]) -> None:
        for entry in tuple(entries):
            entry.drop()
