"""A replica without HTTP: the events of an answer."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine import BatchingCompleter, CancellationToken, CompletionRequest, CompletionResult, ModelInfo
from lsp_server.team.config import Autoscale, ModelConfig
from lsp_server.team.events import Event
from lsp_server.team.replica import MOST_PARKED_MB, Replica, load_engine, parked_mb
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


@pytest.mark.parametrize(
    ("config", "available_mb", "expected"),
    [
        ({}, 1000, 0),  # less than what the requests may take
        ({}, 6048, 1000),
        ({"replicas": 2}, 6048, 500),
        ({"autoscale": Autoscale(0, 4, 8.0)}, 6048, 250),
        ({"memory_mb": 48}, 4048, 1000),
        ({}, 1_000_000, MOST_PARKED_MB),
        ({"parked_mb": 10_000}, 1_000_000, 10_000),
        ({"parked_mb": 10_000}, 3048, 1000),
        ({"parked_mb": 0}, 1_000_000, 0),
        ({}, None, 0),
        ({"parked_mb": 7}, None, 7),
    ],
)
def test_documents_are_parked_in_memory_that_requests_do_not_need(config, available_mb, expected):
    available = None if available_mb is None else available_mb * 1_000_000
    assert parked_mb(ModelConfig("small", "small", **config), available) == expected


def test_an_engine_is_loaded_as_the_configuration_says_and_the_log_has_what_differs(monkeypatch, caplog):
    asked: dict[str, Any] = {}

    def load(folder, **options):
        asked.update(options, folder=folder)
        return SimpleNamespace(notices=("no memory for 9 key/value caches of 64 tokens; there are 2 of 64",))

    monkeypatch.setattr(BatchingCompleter, "load", load)
    load_engine(ModelConfig("small", "bundled", concurrent=9, waiting=3, context_tokens=64, memory_mb=5, parked_mb=1))
    assert (asked["seats"], asked["most_waiting"], asked["context_tokens"]) == (9, 3, 64)
    assert (asked["memory_mb"], asked["parked_mb"]) == (5, 1)
    assert caplog.messages == ["small: no memory for 9 key/value caches of 64 tokens; there are 2 of 64"]
