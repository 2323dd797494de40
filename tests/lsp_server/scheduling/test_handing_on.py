"""Calls that the next request takes over, and calls that begin before their request arrives."""

import asyncio
from typing import Any

import pytest

from engine import CancellationToken
from lsp_server.scheduling.requests import Answer
from tests.lsp_server.scheduling.fake_calls import OTHER, Harness, Model, cancel, harness, place, texts, until

pytestmark = pytest.mark.asyncio
__all__ = ["harness"]


async def superseded(
    harness: Harness, by: str, *, written: str = "", **more: Any
) -> tuple[Model, Model, "asyncio.Task[Answer | None]"]:
    """A request after "im" that a newer one replaced. Returns the older model, the newer one, and the newer request's
    task.
    """
    model, older = await harness.running("im", written=written)
    own, newer = harness.ask(by, version=2, **more)
    assert await older is None
    return model, own, newer


async def test_a_request_takes_over_the_call_of_the_one_it_supersedes(harness):
    model, older = await harness.running("im", "\n", written="po")
    unused, newer = harness.ask("imp", "\n", version=2, delay_s=60.0)
    assert await older is None
    model.write("port")
    model.end("port os")
    assert texts(await newer) == ["ort os"]
    assert unused.state == "asked"


async def test_it_is_handed_on_again_and_again(harness):
    model, task = await harness.running("i", written="m")
    for version, typed in enumerate(("im", "imp", "impo"), 2):
        _, newer = harness.ask(typed, version=version)
        assert await task is None
        task = newer
    model.end("mport")
    assert texts(await task) == ["rt"]
    assert harness.scheduler.counts.calls == 1


async def test_a_call_that_turns_out_to_write_something_else_gives_way(harness):
    model, own, newer = await superseded(harness, "impo", written="p")
    own.end("rt")
    model.write("page")
    assert texts(await newer) == ["rt"]
    assert model.state == "stopped"


async def test_a_call_whose_words_are_used_up_gives_way(harness):
    model, own, newer = await superseded(harness, "import", written="po")
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


async def test_one_that_still_reads_gives_way_to_who_typed_on_and_that_one_waits_for_nothing(harness):
    model, own, newer = await superseded(harness, "imp", delay_s=60.0)
    own.end("ort")
    assert texts(await newer) == ["ort"]
    assert model.state == "stopped"


async def test_one_that_still_reads_serves_who_asks_at_the_same_place(harness):
    model, unused, newer = await superseded(harness, "im", delay_s=60.0)
    model.end("port")
    assert texts(await newer) == ["port"]
    assert unused.state == "asked"


async def test_who_asks_in_another_document_waits_though_a_call_is_given_up(harness):
    model, older = await harness.running("im")
    own, newer = harness.ask("imp", uri=OTHER, delay_s=60.0)
    await cancel(older)
    await until(lambda: model.state == "stopped")
    assert own.state == "asked"
    await cancel(newer)


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
    model.write(".")
    await until(lambda: any(call.written == "." for call in harness.scheduler._calls))
    harness.change("import os.")
    harness.change("import os.p")
    harness.change("other", OTHER)
    await asyncio.sleep(0.01)
    assert model.state == "runs"
    harness.change("import os\n")
    await until(lambda: model.state == "stopped")


async def test_the_first_keystroke_abandons_it_while_it_reads(harness):
    model = Model()
    harness.scheduler.speculate(place("import os"), model.job)
    await until(lambda: model.state == "runs")
    harness.change("import os.")
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
