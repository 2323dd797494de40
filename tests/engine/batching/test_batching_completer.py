"""Many requests at once: each gets the answer that it would get alone."""

import pickle
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import (
    BatchFull,
    BatchingCompleter,
    CancellationToken,
    Cancelled,
    CompletionRequest,
    RequestError,
    SamplingParams,
    StopParams,
    WeightsError,
)
from tests.engine.batching.sessions import LONG_S, Caller, WatchedSession, wait_until
from tests.engine.batching.users import MODEL, TOKENIZER, alone, check_users, requests, said
from tests.fakes import fake_completer


def batching(*, seats: int = 4, most_waiting: int = 64) -> tuple[BatchingCompleter, WatchedSession]:
    model, _ = fake_completer(TOKENIZER, MODEL)
    session = WatchedSession(MODEL, slots=seats)
    return BatchingCompleter(model, session, most_waiting=most_waiting), session


@settings(max_examples=30, deadline=None)
@given(
    users=st.lists(st.lists(requests, min_size=1, max_size=3), min_size=1, max_size=6),
    seats=st.integers(1, 4),
    cancelled_at=st.lists(st.integers(1, 30), max_size=3),
)
def test_each_request_is_answered_as_it_would_be_alone(users, seats, cancelled_at):
    completer, session = batching(seats=seats)
    check_users(completer, session, users, cancelled_at, which=0)
    statistics = completer.statistics
    assert (statistics.active, statistics.waiting, statistics.refused) == (0, 0, 0)


def test_decode_steps_of_several_users_share_passes():
    completer, session = batching()
    request = CompletionRequest("def abc(", stop=StopParams(max_new_tokens=12))
    session.gate.clear()
    callers = [Caller(partial(completer.complete, request, document=str(n))) for n in range(4)]
    wait_until(lambda: completer.statistics.active == 4)
    session.gate.set()
    assert len({tuple(said(caller.result())) for caller in callers}) == 1
    assert completer.statistics.mean_batch > 1.5
    assert completer.statistics.requests == 4


def test_the_next_request_of_a_document_finds_it_read():
    completer, session = batching(seats=2)
    text = "class abcd: (ab) " * 4
    completer.complete(CompletionRequest(text), document="a")
    completer.complete(CompletionRequest("(cd) " * 9), document="b")
    before = session.tokens
    found = completer.complete(CompletionRequest(text + "a", stop=StopParams(max_new_tokens=1)), document="a")
    assert found.reused_tokens > found.prompt_tokens // 2
    assert session.tokens - before < found.prompt_tokens // 2
    assert 0 < completer.statistics.cache_share < 1


def test_a_cancelled_request_makes_room_for_the_next():
    completer, session = batching(seats=1)
    cancel = CancellationToken()
    session.gate.clear()
    gone = Caller(lambda: completer.complete(CompletionRequest("abc"), cancel, document="a"))
    assert session.began.acquire(timeout=LONG_S)
    cancel.cancel()
    with pytest.raises(Cancelled):
        gone.result()
    assert completer.statistics.active == 0
    session.gate.set()
    assert said(completer.complete(CompletionRequest("abd"))) == said(alone().complete(CompletionRequest("abd")))


def test_who_finds_it_full_is_told_so_in_one_line():
    completer, session = batching(seats=1, most_waiting=0)
    session.gate.clear()
    busy = Caller(lambda: completer.complete(CompletionRequest("abc")))
    wait_until(lambda: completer.statistics.active == 1)
    with pytest.raises(BatchFull, match="ask again in") as refused:
        completer.complete(CompletionRequest("abd"))
    assert pickle.loads(pickle.dumps(refused.value)).retry_after_s == refused.value.retry_after_s  # noqa: S301  # ours
    session.gate.set()
    busy.result()
    assert completer.statistics.refused == 1


def test_an_error_of_one_request_is_not_the_others():
    completer, session = batching()
    bad = TOKENIZER.encode("~")[0]
    session.poison = bad
    request = CompletionRequest("abc", stop=StopParams(max_new_tokens=6))
    callers = [Caller(partial(completer.complete, request, document=str(n))) for n in range(3)]
    with pytest.raises(WeightsError):
        completer.complete(CompletionRequest("~~~~~~ ab"))
    expected = alone().complete(request)
    if not any("~" in text for text, _, _ in said(expected)):
        for caller in callers:
            assert said(caller.result()) == said(expected)


def test_a_request_that_makes_no_sense_leaves_its_seat():
    completer, _ = batching(seats=1, most_waiting=0)
    with pytest.raises(RequestError):
        completer.complete(CompletionRequest("abc", sampling=SamplingParams("sample", bat=0.1)))
    assert completer.complete(CompletionRequest("abc")).completions


def test_text_is_shown_while_it_is_written_and_a_slow_reader_holds_up_nobody():
    completer, _ = batching(seats=2)
    completer._scheduler._patience_s = LONG_S
    request = CompletionRequest("abc", stop=StopParams(max_new_tokens=4))
    shown: list[str] = []

    def slow(text: str) -> None:
        shown.append(text)
        if len(shown) == 1:  # another request runs meanwhile
            other = Caller(lambda: completer.complete(CompletionRequest("abd"), document="b"))
            assert other.result().completions

    text = completer.complete(request, on_text=slow, document="a").completions[0].text
    assert shown
    assert all(text.startswith(part) for part in shown)


def test_reading_ahead_leaves_little_to_read():
    completer, _ = batching(seats=2)
    text = "class abcd: (ab)\n" * 4 + "x"
    completer.read(CompletionRequest(text), CancellationToken(), document="a")
    found = completer.complete(CompletionRequest(text), document="a")
    assert found.reused_tokens > found.prompt_tokens // 2


def test_time_in_line_counts_for_the_budget():
    completer, session = batching(seats=1)
    session.gate.clear()
    busy = Caller(lambda: completer.complete(CompletionRequest("abc")))
    wait_until(lambda: completer.statistics.active == 1)
    hurried = replace(CompletionRequest("abd"), budget_ms=0.001)
    late = Caller(lambda: completer.complete(hurried))
    wait_until(lambda: completer.statistics.waiting == 1)
    session.gate.set()
    busy.result()
    assert late.result().completions == ()


def test_what_is_loaded_is_told_as_a_completer_does(tmp_path):
    completer, _ = batching(seats=3)
    assert completer.info.name == "toy"
    assert completer.tokenizer is TOKENIZER
    assert completer.manifest.name == "toy"
    assert completer.notices == ()
    assert completer.contract
    assert completer.statistics.seats == 3
    assert completer.statistics.mean_batch == completer.statistics.cache_share == 0.0
