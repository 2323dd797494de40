import asyncio
import threading
import time

import pytest
import pytest_asyncio

from engine import CancellationToken, Cancelled
from lsp_server.scheduler import RequestKind, Scheduler, Ticket
from lsp_server.worker import ModelThread

pytestmark = pytest.mark.asyncio
URI = "file:///a.py"


class Harness:
    def __init__(self) -> None:
        self.thread = ModelThread()
        self.scheduler = Scheduler(self.thread)
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.running = threading.Event()

    def request(
        self, name: str, *, version: int = 1, kind: RequestKind = "inline", uri: str = URI, delay_s: float = 0.0
    ) -> "asyncio.Task[str | None]":
        """Ask; a name that begins with "slow" runs until it is cancelled."""

        async def ready() -> bool:
            return name != "no model"

        def job(token: CancellationToken) -> str:
            self.started.append(name)
            self.running.set()
            end = time.monotonic() + 5
            while name.startswith("slow") and time.monotonic() < end:
                if token.cancelled:
                    self.stopped.append(name)
                    raise Cancelled
                time.sleep(0.002)
            return name

        ticket = Ticket(uri, version, kind)
        return asyncio.ensure_future(self.scheduler.run(ticket, job, delay_s=delay_s, ready=ready))

    async def until_running(self) -> None:
        await asyncio.to_thread(self.running.wait, 5)
        self.running.clear()

    async def until_stopped(self, *names: str) -> None:
        end = time.monotonic() + 5
        while self.stopped != list(names) and time.monotonic() < end:
            await asyncio.sleep(0.002)
        assert self.stopped == list(names)


@pytest_asyncio.fixture
async def harness():
    made = Harness()
    yield made
    assert made.scheduler.idle
    assert made.thread.stop(timeout_s=5)


async def test_a_request_is_answered(harness):
    assert await harness.request("a") == "a"


async def test_the_latest_request_wins_and_the_older_one_answers_at_once(harness):
    older = harness.request("slow 1")
    await harness.until_running()
    newer = harness.request("b", version=2)
    assert await asyncio.wait_for(older, 1) is None
    assert await newer == "b"
    assert harness.stopped == ["slow 1"]


async def test_a_queued_request_that_is_superseded_never_reaches_the_model(harness):
    other = harness.request("slow other", uri="file:///b.py")
    await harness.until_running()
    requests = [harness.request(f"{n}", version=n) for n in range(5)]
    await asyncio.sleep(0.02)
    harness.scheduler.drop_document("file:///b.py")
    assert [*await asyncio.gather(other, *requests)] == [None, None, None, None, None, "4"]
    assert harness.started == ["slow other", "4"]


async def test_a_burst_within_the_debounce_runs_once(harness):
    requests = []
    for n in range(5):
        requests.append(harness.request(f"{n}", version=n, delay_s=0.03))
        await asyncio.sleep(0.002)
    assert [*await asyncio.gather(*requests)] == [None, None, None, None, "4"]
    assert harness.started == ["4"]


async def test_cancellation_passes_through_and_stops_the_model(harness):
    request = harness.request("slow 1")
    await harness.until_running()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await harness.until_stopped("slow 1")
    assert await harness.request("b") == "b"


async def test_both_kinds_are_answered_for_one_version_of_a_document(harness):
    both = harness.request("a"), harness.request("b", kind="list")
    assert [*await asyncio.gather(*both)] == ["a", "b"]


async def test_a_newer_version_supersedes_both_kinds(harness):
    older = harness.request("slow 1"), harness.request("slow 2", kind="list")
    await harness.until_running()
    newer = harness.request("c", version=2)
    assert [*await asyncio.gather(*older, newer)] == [None, None, "c"]
    assert harness.started == ["slow 1", "c"]


async def test_documents_do_not_supersede_each_other(harness):
    both = harness.request("a"), harness.request("b", uri="file:///b.py", version=9)
    assert [*await asyncio.gather(*both)] == ["a", "b"]


async def test_a_closed_document_and_a_leaving_server_answer_empty(harness):
    request = harness.request("slow 1")
    await harness.until_running()
    harness.scheduler.drop_document(URI)
    assert await request is None
    request = harness.request("slow 2")
    await harness.until_running()
    harness.scheduler.drop_all()
    assert await request is None
    await harness.until_stopped("slow 1", "slow 2")


async def test_without_a_model_nothing_is_queued(harness):
    assert await harness.request("no model") is None
    assert harness.started == []
