"""Requests, cancellations and calls that are handed on, with a model that does what the test tells it."""

import asyncio
import queue
from collections.abc import Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from engine import CancellationToken, CompletionResult
from lsp_server.calls import OnText
from lsp_server.scheduler import Observers, Outcome, RequestKind, Scheduler, Ticket, Work
from lsp_server.settings import Settings
from lsp_server.surroundings import Asker, Surroundings, surroundings
from lsp_server.worker import ModelThread
from tests.lsp_server.fakes import result_of

pytestmark = pytest.mark.asyncio
URI = "file:///a.py"
OTHER = "file:///b.py"
TIMEOUT_S = 5.0
ASKER = Asker(Settings(), 1, 1, automatic=True)


class Model:
    """One job of the model: it writes and ends when it is told to, and stops when it is cancelled."""

    def __init__(self) -> None:
        self.state = "asked"
        self._orders: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        self._texts: tuple[str, ...] = ()

    def write(self, text: str) -> None:
        """Decide ``text`` so far."""
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
        **more: object,
    ) -> tuple[Model, "asyncio.Task[Outcome | None]"]:
        """Ask for a completion between two texts."""
        chosen = model or Model()
        has_model = more.pop("ready", True)

        async def ready() -> bool:
            return bool(has_model)

        work = replace(Work(place(before, after, uri), chosen.job, ready), **more)  # type: ignore[arg-type]
        return chosen, asyncio.ensure_future(self.scheduler.run(Ticket(uri, version, kind), work))

    async def running(
        self, before: str, after: str = "", **more: object
    ) -> tuple[Model, "asyncio.Task[Outcome | None]"]:
        """A request that the model works on."""
        model, task = self.ask(before, after, **more)  # type: ignore[arg-type]
        await until(lambda: model.state == "runs")
        return model, task

    def change(self, text: str, uri: str = URI) -> None:
        self.scheduler.document_changed(uri, text)


def place(before: str, after: str = "", uri: str = URI) -> Surroundings:
    return surroundings(uri, ASKER, before, after)


def texts(outcome: Outcome | None) -> list[str] | None:
    return None if outcome is None else [completion.text for completion in outcome.completions]


async def cancel(task: "asyncio.Task[Outcome | None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest_asyncio.fixture
async def harness():
    made = Harness()
    yield made
    await until(lambda: made.scheduler.idle)
    assert await asyncio.to_thread(made.thread.stop, TIMEOUT_S)


# --- latest wins -----------------------------------------------------------------------------------------------------


async def test_a_request_is_answered(harness):
    model, task = harness.ask("imp")
    model.end("ort", "ossible")
    outcome = await task
    assert texts(outcome) == ["ort", "ossible"]
    assert outcome is not None
    assert not outcome.handed_on
    await until(lambda: harness.told == ["busy", "result at 3", "idle"])


async def test_the_latest_request_wins_and_the_older_one_answers_at_once(harness):
    model, older = await harness.running("a")
    newer_model, newer = harness.ask("xy", version=2)
    assert await asyncio.wait_for(older, TIMEOUT_S) is None
    newer_model.end("z")
    assert texts(await newer) == ["z"]
    assert model.state == "stopped"


async def test_a_queued_request_that_is_superseded_never_reaches_the_model(harness):
    first, other = await harness.running("a", uri=OTHER)
    asked = [harness.ask(f"{number} ", version=number) for number in range(5)]
    await asyncio.sleep(0)
    first.end("1")
    asked[-1][0].end("x")
    assert texts(await other) == ["1"]
    assert [texts(await task) for _, task in asked] == [None, None, None, None, ["x"]]
    assert [model.state for model, _ in asked] == ["asked"] * 4 + ["ended"]


async def test_a_burst_within_the_debounce_runs_once(harness):
    asked = [harness.ask(f"{number} ", version=number, delay_s=0.01) for number in range(5)]
    asked[-1][0].end("x")
    assert [texts(await task) for _, task in asked] == [None, None, None, None, ["x"]]
    assert [model.state for model, _ in asked] == ["asked"] * 4 + ["ended"]
    assert harness.scheduler.counts.calls == 1


async def test_both_kinds_are_answered_for_one_version_of_a_document(harness):
    one, first = harness.ask("a")
    two, second = harness.ask("a", kind="list", shared=False)
    one.end("b")
    two.end("c")
    assert [texts(await first), texts(await second)] == [["b"], ["c"]]


async def test_a_newer_version_supersedes_both_kinds(harness):
    _, first = await harness.running("a")
    _, second = harness.ask("a", kind="list")
    model, newer = harness.ask("b", version=2)
    model.end("c")
    assert [texts(await task) for task in (first, second, newer)] == [None, None, ["c"]]


async def test_documents_do_not_supersede_each_other(harness):
    one, first = harness.ask("a")
    two, second = harness.ask("a", uri=OTHER, version=9)
    one.end("b")
    two.end("c")
    assert [texts(await first), texts(await second)] == [["b"], ["c"]]


async def test_a_closed_document_and_a_leaving_server_answer_empty(harness):
    model, task = await harness.running("a")
    harness.scheduler.drop_document(URI)
    assert await task is None
    await until(lambda: model.state == "stopped")
    last, task = await harness.running("a")
    harness.scheduler.drop_all()
    assert await task is None
    await until(lambda: last.state == "stopped")


async def test_without_a_model_nothing_is_queued(harness):
    model, task = harness.ask("a", ready=False)
    assert await task is None
    assert model.state == "asked"


async def test_what_goes_wrong_comes_to_who_waits(harness):
    model, task = await harness.running("a")
    model.fail(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await task
    assert not any("broken" in told for told in harness.told)


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_a_cancelled_call_stops_when_nothing_was_typed(harness):
    model, task = await harness.running("a")
    await cancel(task)
    await until(lambda: model.state == "stopped")
    assert harness.scheduler.counts.stopped == 1


@pytest.mark.parametrize("order", ["change first", "cancel first"])
async def test_a_cancelled_call_goes_on_when_it_writes_what_is_typed(harness, order):
    model, task = await harness.running("im", "\n")
    model.write("por")
    if order == "change first":
        harness.change("imp\n")
        await cancel(task)
    else:
        await cancel(task)
        harness.change("imp\n")
    _, task = harness.ask("imp", "\n", version=2)
    model.end("port os")
    outcome = await task
    assert texts(outcome) == ["ort os"]
    assert outcome is not None
    assert outcome.handed_on
    assert harness.told.count("result at 2") == 1
    assert harness.scheduler.counts.calls == 1


@pytest.mark.parametrize("order", ["change first", "cancel first"])
@pytest.mark.parametrize("text", ["ix\n", "i\n", "", "impair\n", "im\n more"])
async def test_a_cancelled_call_stops_when_something_else_is_typed(harness, order, text):
    model, task = await harness.running("im", "\n")
    model.write("por")
    call = next(iter(harness.scheduler._calls))
    await until(lambda: call.written == "por")
    if order == "change first":
        harness.change(text)
        await cancel(task)
    else:
        await cancel(task)
        harness.change(text)
    await until(lambda: model.state == "stopped")


async def test_a_cancelled_call_that_ends_is_kept_though_nobody_asks(harness):
    model, task = await harness.running("im", "\n")
    harness.change("imp\n")
    await cancel(task)
    model.end("port")
    await until(lambda: "result at 2" in harness.told)


async def test_a_call_that_nobody_waits_for_stops_when_it_writes_something_else(harness):
    model, task = await harness.running("im", "\n")
    harness.change("imp\n")
    await cancel(task)
    model.write("p")
    model.write("pa")
    harness.change("impo\n")
    await until(lambda: model.state == "stopped")


async def test_a_call_that_nobody_waits_for_fails_aloud(harness):
    model, task = await harness.running("im", "\n")
    harness.change("imp\n")
    await cancel(task)
    model.fail(RuntimeError("broken"))
    await until(lambda: "RuntimeError('broken')" in harness.told)


async def test_who_waits_comes_before_whoever_may(harness):
    model, task = await harness.running("im", "\n")
    harness.change("imp\n")
    await cancel(task)
    other, task = harness.ask("a", uri=OTHER)
    other.end("b")
    assert texts(await task) == ["b"]
    assert model.state == "stopped"


async def test_an_answer_from_elsewhere_leaves_no_call_running_for_nobody(harness):
    model, older = await harness.running("im", "\n")
    harness.scheduler.answered(Ticket(URI, 2, "inline"))
    assert await older is None
    await until(lambda: model.state == "stopped")
    model, task = await harness.running("im", "\n")
    harness.change("imp\n")
    await cancel(task)
    harness.scheduler.answered(Ticket(OTHER, 2, "inline"))
    assert not next(iter(harness.scheduler._calls)).stopped
    harness.scheduler.answered(Ticket(URI, 2, "inline"))
    await until(lambda: model.state == "stopped")


# --- handed on to the next request -----------------------------------------------------------------------------------


async def test_a_request_takes_over_the_call_of_the_one_it_supersedes(harness):
    model, older = await harness.running("im", "\n")
    unused, newer = harness.ask("imp", "\n", version=2, delay_s=60.0)
    assert await older is None
    model.write("port")
    model.end("port os")
    assert texts(await newer) == ["ort os"]
    assert unused.state == "asked"


async def test_it_is_handed_on_again_and_again(harness):
    model, task = await harness.running("i")
    for version, typed in enumerate(("im", "imp", "impo"), 2):
        _, newer = harness.ask(typed, version=version)
        assert await task is None
        task = newer
    model.end("mport")
    assert texts(await task) == ["rt"]
    assert harness.scheduler.counts.calls == 1


async def test_a_call_that_turns_out_to_write_something_else_gives_way(harness):
    model, older = await harness.running("im")
    own, newer = harness.ask("imp", version=2)
    assert await older is None
    own.end("ort")
    model.write("age")
    assert texts(await newer) == ["ort"]
    assert model.state == "stopped"


async def test_a_call_whose_words_are_used_up_gives_way(harness):
    model, older = await harness.running("im")
    own, newer = harness.ask("import", version=2)
    assert await older is None
    model.end("port")
    own.end(" os")
    assert texts(await newer) == [" os"]


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        ("ix", "", {}),
        ("im", ")", {}),
        ("imp", "x", {}),
        ("imp", "", {"uri": OTHER, "kind": "list"}),
    ],
)
async def test_a_call_for_another_place_is_not_taken_over(harness, before, after, more):
    model, older = await harness.running("im" if before != "im" else "imp", version=1)
    model.write("port")
    own, newer = harness.ask(before, after, version=2, **more)
    own.end("own")
    if more:
        model.end("port")
        assert texts(await older) == ["port"]
    else:
        assert await older is None
    assert texts(await newer) == ["own"]


async def test_a_call_that_does_not_tell_what_it_writes_is_not_taken_over(harness):
    model, older = await harness.running("im", shared=False)
    own, newer = harness.ask("imp", version=2)
    assert await older is None
    own.end("ort")
    assert texts(await newer) == ["ort"]
    assert model.state == "stopped"
    model, task = await harness.running("im", shared=False)
    harness.change("imp")
    await cancel(task)
    await until(lambda: model.state == "stopped")


# --- speculation -----------------------------------------------------------------------------------------------------


async def test_what_is_foreseen_is_begun_and_handed_on(harness):
    model = Model()
    harness.scheduler.speculate(place("import os"), model.job)
    await until(lambda: model.state == "runs")
    _, task = harness.ask("import os", version=2)
    model.end(".path")
    assert texts(await task) == [".path"]
    counts = harness.scheduler.counts
    assert (counts.calls, counts.speculative) == (1, 1)


async def test_what_is_foreseen_is_kept_though_nobody_asks(harness):
    model = Model()
    harness.scheduler.speculate(place("import os"), model.job)
    model.end(".path")
    await until(lambda: "result at 9" in harness.told)


async def test_the_first_keystroke_that_disagrees_abandons_it(harness):
    model = Model()
    harness.scheduler.speculate(place("import os"), model.job)
    await until(lambda: model.state == "runs")
    harness.change("import os.")
    model.write(".")
    harness.change("import os.p")
    harness.change("other", OTHER)
    await asyncio.sleep(0.01)
    assert model.state == "runs"
    harness.change("import os\n")
    await until(lambda: model.state == "stopped")


async def test_nothing_is_foreseen_while_the_model_is_busy(harness):
    model, task = await harness.running("a")
    other = Model()
    harness.scheduler.speculate(place("import os", uri=OTHER), other.job)
    model.end("b")
    await task
    assert other.state == "asked"
    assert harness.scheduler.counts.speculative == 0


async def test_a_stopped_speculation_in_the_queue_never_runs(harness):
    blocked, model = Model(), Model()
    busy = harness.thread.submit(lambda: blocked.job(CancellationToken(), lambda text: None))
    harness.scheduler.speculate(place("import os"), model.job)
    harness.change("x")
    blocked.end()
    await asyncio.wrap_future(busy)
    await until(lambda: harness.scheduler.idle)
    assert model.state == "asked"
