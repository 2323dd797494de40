"""Answers at a deadline, and what the model reads while nobody asks."""

import time
from types import SimpleNamespace

import pytest

from engine import CancellationToken, CompletionResult
from lsp_server.scheduling import waiting
from lsp_server.scheduling.model_call import OnText
from tests.lsp_server.fakes import result_of
from tests.lsp_server.scheduling.fake_calls import TIMEOUT_S, Harness, Model, harness, place, texts, until

__all__ = ["harness"]
pytestmark = pytest.mark.asyncio


def words_of(written: str) -> CompletionResult | None:
    """The part that is certain: all words except the last."""
    return result_of(written.rpartition(" ")[0])


DEADLINE_S = 0.02


class Clock:
    """The clock of waiting requests: 0 until the test says that the deadline has come, however slow the machine is."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def strike(self) -> None:
        self.now_s = DEADLINE_S


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def test_what_is_certain_at_the_deadline_is_the_answer_and_the_call_goes_on(harness: Harness, clock: Clock):
    model, task = await harness.running("x = ", written="np.zeros (thr", deadline_s=DEADLINE_S, so_far=words_of)
    clock.strike()
    assert texts(await task) == ["np.zeros"]
    assert model.state == "runs"
    _, second = harness.ask("x = ")
    model.end("np.zeros (three)")
    assert texts(await second) == ["np.zeros (three)"]
    assert harness.scheduler.counts.calls == 1


async def test_who_types_along_what_is_written_gets_the_rest(harness: Harness, clock: Clock):
    model, task = await harness.running("x = ", written="np.zeros (", deadline_s=DEADLINE_S, so_far=words_of)
    clock.strike()
    await task
    harness.change("x = np")
    _, second = harness.ask("x = np", version=2)
    model.end("np.zeros (three)")
    assert texts(await second) == [".zeros (three)"]


async def test_a_call_that_has_written_nothing_by_then_goes_on_too(harness: Harness, clock: Clock):
    model, task = await harness.running("x = ", deadline_s=DEADLINE_S, so_far=words_of)
    clock.strike()
    assert await task is None
    assert model.state == "runs"
    harness.change("x = y")
    await until(lambda: model.state == "stopped")


async def test_a_certain_part_is_an_early_answer_and_the_client_hears_of_the_rest(harness: Harness):
    told: list[str] = []
    model, task = await harness.running("x = ", early_s=0.0, so_far=words_of, on_more=lambda: told.append("more"))
    model.write("np.zeros")  # not a whole word yet
    model.write("np.zeros (thr")
    assert texts(await task) == ["np.zeros"]
    assert model.state == "runs"
    assert not told
    model.end("np.zeros (three)")
    await until(lambda: told)
    assert told == ["more"]


async def test_an_early_answer_waits_until_it_is_worth_showing(harness: Harness):
    model, task = await harness.running("x = ", early_s=0.0, so_far=words_of)
    model.write(") ")
    model.write("). ")  # certain are two characters, one fewer than are worth showing
    model.end("). real")
    assert texts(await task) == ["). real"]


async def test_before_its_time_there_is_no_early_answer(harness: Harness):
    model, task = await harness.running(
        "x = ", written="np.zeros (thr", early_s=time.monotonic() + TIMEOUT_S, so_far=words_of
    )
    model.end("np.zeros (three)")
    assert texts(await task) == ["np.zeros (three)"]


@pytest.mark.parametrize("whole", [("zeros",), ()], ids=["the same", "nothing"])
async def test_nothing_more_is_told_where_the_whole_has_no_more(harness: Harness, whole: tuple[str, ...]):
    told: list[str] = []
    model, task = await harness.running(
        "x = ", written="zeros ", early_s=0.0, so_far=words_of, on_more=lambda: told.append("more")
    )
    assert texts(await task) == ["zeros"]
    model.end(*whole)
    await until(lambda: model.state == "ended" and harness.scheduler.idle)
    assert not told


async def test_who_typed_on_along_an_early_answer_gets_the_early_rest_and_the_news_once(harness: Harness):
    told: list[str] = []
    model, task = await harness.running(
        "x = ", written="np.zeros (", early_s=0.0, so_far=words_of, on_more=lambda: told.append("first")
    )
    assert texts(await task) == ["np.zeros"]
    harness.change("x = np")
    _, second = harness.ask("x = np", version=2, early_s=0.0, so_far=words_of, on_more=lambda: told.append("second"))
    assert texts(await second) == [".zeros"]
    model.end("np.zeros (three)")
    await until(lambda: told)
    assert told == ["second"]


async def test_what_was_typed_past_the_early_answer_waits_for_more(harness: Harness):
    model, task = await harness.running("x = ", written="np.zeros (", early_s=0.0, so_far=words_of)
    await task
    harness.change("x = np.zeros")
    _, second = harness.ask("x = np.zeros", version=2, early_s=0.0, so_far=words_of)
    model.write("np.zeros (three, four")
    assert texts(await second) == [" (three,"]
    model.end("np.zeros (three, four)")


async def test_reading_ahead_gives_way_to_a_request_and_is_no_work(harness: Harness):
    reading = Model()
    harness.scheduler.read_ahead(place("x = "), reading.job)
    await until(lambda: reading.state == "runs")
    assert harness.scheduler.idle
    model, task = harness.ask("x = ")
    await until(lambda: reading.state == "stopped")
    model.end("1")
    assert texts(await task) == ["1"]
    counts = harness.scheduler.counts
    assert (counts.readings, counts.calls, counts.stopped) == (1, 1, 0)
    assert harness.told == ["busy", "result at 4", "idle"]


async def test_reading_ahead_stops_at_a_keystroke_and_never_begins_beside_a_call(harness: Harness):
    reading = Model()
    harness.scheduler.read_ahead(place("x = "), reading.job)
    await until(lambda: reading.state == "runs")
    harness.change("x = 1")
    await until(lambda: reading.state == "stopped")
    model, task = await harness.running("y")
    harness.scheduler.read_ahead(place("x = "), reading.job)
    model.end("z")
    await task
    assert harness.scheduler.counts.readings == 1


async def test_what_is_read_says_nothing(harness: Harness):
    def job(token: CancellationToken, on_text: OnText) -> CompletionResult | None:
        return None

    harness.scheduler.read_ahead(place("x = "), job)
    await until(lambda: bool(harness.told))
    assert harness.told == ["idle"]
    assert not harness.scheduler._calls


@pytest.mark.parametrize("whole", [("np",), ()], ids=["less", "nothing"])
async def test_what_was_shown_early_stays_if_the_whole_is_less(harness: Harness, whole: tuple[str, ...]):
    kept: list[CompletionResult] = []
    harness.scheduler.observers.on_result = lambda where, result, took_ms: kept.append(result)
    model, task = await harness.running("x = ", written="np.zeros (", early_s=0.0, so_far=words_of)
    assert texts(await task) == ["np.zeros"]
    model.end(*whole)
    await until(lambda: kept)
    assert [completion.text for completion in kept[0].completions] == ["np.zeros"]
