"""A replica without HTTP: the events of an answer."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from engine import CancellationToken, CompletionRequest, CompletionResult, ModelInfo
from lsp_server.team.config import ModelConfig
from lsp_server.team.events import Event
from lsp_server.team.replica import Replica
from tests.lsp_server.fakes import INFO, result_of

LONG_S = 60.0


class Writer:
    """Writes three pieces, and the last of them only when ``may_end`` is set."""

    info: ModelInfo = INFO

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        document: str = "",
    ) -> CompletionResult:
        assert on_text is not None
        on_text("on")
        on_text("one ")
        assert self.may_end.wait(LONG_S)
        on_text("one two")
        return result_of("one two")


@pytest.fixture
def replica():
    writer = Writer()
    replica = Replica(ModelConfig("small", "small"), writer)
    yield replica, writer
    replica.close()


def test_pieces_that_wait_are_one(replica):
    replica, writer = replica

    async def take() -> list[Event]:
        events: list[Event] = []
        async for event in replica.complete(CompletionRequest("x")):
            events.append(event)
            if event.name == "begun":
                await asyncio.sleep(0)
            if "".join(event.data["written"] for event in events if event.name == "text") == "one ":
                writer.may_end.set()
        return events

    events = asyncio.run(take())
    assert [events[0].name, events[-1].name] == ["begun", "answer"]
    text = "".join(event.data["written"] for event in events[1:-1])
    assert events[-1].data["completions"][0]["text"].startswith(text)
    assert text.startswith("one ")


def test_pieces_that_are_all_there_are_one_event(replica):
    replica, writer = replica
    writer.may_end.set()

    async def take() -> list[Event]:
        events: list[Event] = []
        async for event in replica.complete(CompletionRequest("x")):
            events.append(event)
            while event.name == "begun" and replica.ongoing:
                await asyncio.sleep(0.001)
        return events

    events = asyncio.run(take())
    assert [event.name for event in events] == ["begun", "text", "answer"]
    assert events[1].data == {"written": "one two"}
