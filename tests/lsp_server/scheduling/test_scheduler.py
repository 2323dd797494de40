"""Requests that win, that are replaced, and that are cancelled."""

import asyncio

import pytest

from lsp_server.scheduling.requests import Answer, RequestKey
from tests.lsp_server.scheduling.fake_calls import OTHER, TIMEOUT_S, URI, Harness, cancel, harness, texts, until

pytestmark = pytest.mark.asyncio
__all__ = ["harness"]


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


@pytest.mark.parametrize("written", ["", "b"])
async def test_a_cancelled_call_stops_when_nothing_was_typed(harness, written):
    model, task = await harness.running("a", written=written)
    [call] = harness.scheduler._calls
    await cancel(task)
    # Only a request that has text to answer gets a moment.
    assert call.stopped == (not written)
    await until(lambda: model.state == "stopped")
    assert harness.scheduler.counts.stopped == 1


async def change_and_cancel(harness: Harness, task: "asyncio.Task[Answer | None]", order: str) -> None:
    if order == "change first":
        harness.change("imp\n")
        await cancel(task)
    else:
        await cancel(task)
        harness.change("imp\n")


@pytest.mark.parametrize("order", ["change first", "cancel first"])
async def test_a_cancelled_call_goes_on_when_it_writes_what_is_typed(harness, order):
    model, task = await harness.running("im", "\n", written="por")
    await change_and_cancel(harness, task, order)
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
    model, task = await harness.running("im", "\n", written="por")
    if order == "change first":
        harness.change(text)
        await cancel(task)
    else:
        await cancel(task)
        harness.change(text)
    await until(lambda: model.state == "stopped")


async def test_a_cancelled_call_that_ends_is_kept_though_nobody_asks(harness):
    model, task = await harness.running("im", "\n", written="p")
    harness.change("imp\n")
    await cancel(task)
    model.end("port")
    await until(lambda: "result at 2" in harness.told)


async def test_a_call_that_nobody_waits_for_stops_when_it_writes_something_else(harness):
    model, task = await harness.running("im", "\n", written="p")
    harness.change("imp\n")
    await cancel(task)
    model.write("pa")
    harness.change("impo\n")
    await until(lambda: model.state == "stopped")


@pytest.mark.parametrize("order", ["change first", "cancel first"])
async def test_a_cancelled_call_that_has_written_nothing_stops_at_a_keystroke(harness, order):
    model, task = await harness.running("im", "\n")
    await change_and_cancel(harness, task, order)
    await until(lambda: model.state == "stopped")


async def test_a_call_that_nobody_waits_for_fails_aloud(harness):
    model, task = await harness.running("im", "\n", written="p")
    harness.change("imp\n")
    await cancel(task)
    model.fail(RuntimeError("broken"))
    await until(lambda: "RuntimeError('broken')" in harness.told)


async def test_who_waits_comes_before_whoever_may(harness):
    model, task = await harness.running("im", "\n", written="p")
    harness.change("imp\n")
    await cancel(task)
    other, task = harness.ask("a", uri=OTHER)
    other.end("b")
    assert texts(await task) == ["b"]
    assert model.state == "stopped"


async def test_an_answer_from_elsewhere_leaves_no_call_running_for_nobody(harness):
    model, older = await harness.running("im", "\n")
    harness.scheduler.answered(RequestKey(URI, 2, "inline"))
    assert await older is None
    await until(lambda: model.state == "stopped")
    model, task = await harness.running("im", "\n", written="p")
    harness.change("imp\n")
    await cancel(task)
    harness.scheduler.answered(RequestKey(OTHER, 2, "inline"))
    assert not next(iter(harness.scheduler._calls)).stopped
    harness.scheduler.answered(RequestKey(URI, 2, "inline"))
    await until(lambda: model.state == "stopped")
