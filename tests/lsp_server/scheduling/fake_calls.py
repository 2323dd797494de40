"""A scheduler with a model that the test controls."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from engine import CancellationToken, CompletionResult
from lsp_server.scheduling.cursor_context import Asker, CursorContext, cursor_context
from lsp_server.scheduling.model_call import OnText
from lsp_server.scheduling.requests import Answer, PendingRequest, RequestKey, RequestKind
from lsp_server.scheduling.scheduler import Observers, Scheduler
from lsp_server.scheduling.worker import ModelThread
from lsp_server.settings import Settings
from tests.lsp_server.fakes import result_of

URI = "file:///a.py"
OTHER = "file:///b.py"
TIMEOUT_S = 5.0
ASKER = Asker(Settings(), 1, 1, automatic=True)


class Model:
    """One call of the model: it writes and ends when told to, and stops when it is cancelled."""

    def __init__(self) -> None:
        self.state = "asked"
        self._orders: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        self._texts: tuple[str, ...] = ()

    def write(self, text: str) -> None:
        """Make ``text`` the text so far."""
        self._orders.put(text)

    def end(self, *texts: str) -> None:
        self._texts = texts
        self._orders.put(None)

    def fail(self, error: Exception) -> None:
        self._orders.put(error)

    def job(self, token: CancellationToken, on_text: OnText) -> CompletionResult:
        self.state = "runs"
        for _ in range(int(TIMEOUT_S / 0.002)):
            if token.cancelled:
                self.state = "stopped"
                token.raise_if_cancelled()
            try:
                order = self._orders.get(timeout=0.002)
            except queue.Empty:
                continue
            if order is None:
                self.state = "ended"
                return result_of(*self._texts)
            if isinstance(order, Exception):
                raise order
            on_text(order)
        raise AssertionError("the test forgot its model")


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not what():
            await asyncio.sleep(0.001)


class Harness:
    def __init__(self) -> None:
        self.thread = ModelThread()
        self.scheduler = Scheduler(self.thread)
        self.told: list[str] = []
        self.scheduler.observers = Observers(
            on_change=lambda: self.told.append("idle" if self.scheduler.idle else "busy"),
            on_result=lambda where, result, took_ms: self.told.append(f"result at {where.position}"),
            on_error=lambda error: self.told.append(repr(error)),
        )

    def ask(
        self,
        before: str,
        after: str = "",
        *,
        model: Model | None = None,
        kind: RequestKind = "inline",
        version: int = 1,
        uri: str = URI,
        **more: Any,
    ) -> tuple[Model, "asyncio.Task[Answer | None]"]:
        """Ask for a completion between two texts."""
        chosen = model or Model()
        has_model = more.pop("ready", True)

        async def ready() -> bool:
            return bool(has_model)

        key = RequestKey(uri, version, kind)
        request = PendingRequest(key, place(before, after, uri), chosen.job, ready, **more)
        return chosen, asyncio.ensure_future(self.scheduler.run(request))

    async def running(
        self, before: str, after: str = "", *, written: str = "", **more: Any
    ) -> tuple[Model, "asyncio.Task[Answer | None]"]:
        """A request that the model works on and has written ``text`` for."""
        model, task = self.ask(before, after, **more)
        await until(lambda: model.state == "runs")
        if written:
            model.write(written)
            await until(lambda: any(call.written == written for call in self.scheduler._calls))
        return model, task

    def change(self, text: str, uri: str = URI) -> None:
        self.scheduler.document_changed(uri, text)


def place(before: str, after: str = "", uri: str = URI) -> CursorContext:
    return cursor_context(uri, ASKER, before, after)


def texts(answer: Answer | None) -> list[str] | None:
    return None if answer is None else [completion.text for completion in answer.completions]


async def cancel(task: "asyncio.Task[Answer | None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest_asyncio.fixture
async def harness():
    made = Harness()
    yield made
    await until(lambda: made.scheduler.idle)
    assert await asyncio.to_thread(made.thread.stop, TIMEOUT_S)
