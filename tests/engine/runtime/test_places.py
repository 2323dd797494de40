"""Places that the cursor left: returning to one costs no pass, and nothing else changes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import StopParams
from engine.runtime import places
from engine.runtime.place_store import PlaceStore, common_length
from engine.runtime.places import LEAST_TOKENS, MOST_LEAST_TOKENS, MOST_PLACES, WORTH_S, Places
from engine.runtime.token_cache import TokenCache
from engine.types import CompletionRequest, IdArray
from tests.fakes import FakeSession, endless_completer, hash_model, toy_fim, toy_tokenizer

MODEL = hash_model(7, order=1000)
ENOUGH = 10**6


def nothing() -> None:
    pass


def ids_of(*values: int) -> IdArray:
    return np.array(values, np.int32)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 6), max_size=12)), max_size=20), st.integers(0, 400)
)
def test_rows_are_those_computed_from_scratch_whatever_is_brought_back(steps: list[tuple[int, list[int]]], limit: int):
    session = FakeSession(MODEL, context_length=12, slots=2)
    cache = TokenCache(session, chunk=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "MOST_LEAST_TOKENS", 2)
        cache.places.limit(limit)
        held: list[int] = []
        for kept, added in steps:
            held = (held[:kept] + added)[:12] or [0]
            np.testing.assert_array_equal(cache.row_after(ids_of(*held), nothing), MODEL(tuple(held)))
            assert cache.places.bytes <= limit


def documents(number: int) -> str:
    return "".join(f"value_{number}_{line} = {line}\n" for line in range(40))


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_switching_between_files_and_undoing_reads_nothing_again(order):
    fim = toy_fim(toy_tokenizer("byte-level"), order)
    completer, session = endless_completer(context_length=2048, fim=fim)
    forgetful, _ = endless_completer(context_length=2048, fim=fim)
    completer.keep_places(ENOUGH)
    for number in (1, 2):
        completer.complete(typed_in(number, "x = va"))
    session.reset_counts()
    for number in (1, 2):
        request = typed_in(number, "x = val")
        assert completer.complete(request).completions == forgetful.complete(request).completions
    assert session.restored > 2 * MOST_LEAST_TOKENS
    assert session.tokens <= 2 * 12  # the new part of the line, and the completions


def typed_in(number: int, line: str) -> CompletionRequest:
    return CompletionRequest(documents(number) + line, "\n" + documents(number), stop=StopParams(max_new_tokens=4))


def test_nothing_is_kept_unless_it_is_asked_for_and_no_more_than_that():
    completer, session = endless_completer(context_length=2048)
    requests = [CompletionRequest(documents(number) + "x = va") for number in (1, 2, 3)]
    for limit in (0, 400 * session.position_bytes, 0):
        completer.keep_places(limit)
        for request in requests:
            completer.complete(request)
            assert completer._cache.places.bytes <= limit


def filled(session: FakeSession, ids: Sequence[int]) -> IdArray:
    array = ids_of(*ids)
    session.forward(array, 0, [])
    return array


def test_a_place_that_goes_on_from_another_takes_its_place():
    session = FakeSession(MODEL, context_length=2048)
    kept = Places(session, PlaceStore(ENOUGH, MOST_PLACES))
    first = [1] * (2 * MOST_LEAST_TOKENS)
    kept.leave(0, filled(session, first), 0)
    kept.leave(0, filled(session, [*first, *[2] * MOST_LEAST_TOKENS]), 0)
    assert kept.bytes == 3 * MOST_LEAST_TOKENS * session.position_bytes
    kept.leave(0, filled(session, [3] * (2 * MOST_LEAST_TOKENS)), 0)
    assert kept.bytes == 5 * MOST_LEAST_TOKENS * session.position_bytes


def test_what_is_left_by_a_few_tokens_is_not_kept():
    session = FakeSession(MODEL, context_length=2048)
    kept = Places(session, PlaceStore(ENOUGH, MOST_PLACES))
    kept.leave(0, filled(session, [1] * 500), 500 - MOST_LEAST_TOKENS + 1)
    assert kept.bytes == 0


@pytest.mark.parametrize("tokens_per_s", [1.0, 100.0, 1000.0, 2000.0, 100_000.0, math.inf])
def test_the_slower_a_model_reads_the_fewer_tokens_are_worth_keeping(tokens_per_s):
    least = min(MOST_LEAST_TOKENS, max(LEAST_TOKENS, int(WORTH_S * tokens_per_s))) if tokens_per_s < 1e9 else 128
    for tokens in (least - 1, least):
        session = FakeSession(MODEL, context_length=2048)
        kept = Places(session, PlaceStore(ENOUGH, MOST_PLACES))
        kept.price(tokens_per_s)
        kept.leave(0, filled(session, [1] * tokens), 0)
        assert kept.bytes == (tokens >= least) * tokens * session.position_bytes


def test_two_prompts_in_turn_of_a_slow_model_are_both_read_on_where_they_were_left():
    session = FakeSession(MODEL, context_length=2048)
    cache = TokenCache(session, chunk=8)
    cache.places.limit(ENOUGH)
    cache._pace.token_s = 0.01
    long, short = list(range(1, 7)) * 30, [6, 5, 4] * 10
    for end in range(16, len(long), 16):
        cache._pace.token_s = 0.01
        cache.row_after(ids_of(*long[:end]), nothing)
        cache.row_after(ids_of(*short), nothing)
    assert session.tokens <= len(long) + len(short) + 2 * len(long) // 16


def test_memory_that_runs_out_leaves_nothing_kept_and_does_no_harm(monkeypatch: pytest.MonkeyPatch):
    def no_memory(slot: int, end: int) -> object:
        raise MemoryError

    session = FakeSession(MODEL, context_length=2048)
    kept = Places(session, PlaceStore(ENOUGH, MOST_PLACES))
    held = filled(session, [1] * 500)
    kept.leave(0, held, 0)
    monkeypatch.setattr(session, "save", no_memory)
    kept.leave(0, filled(session, [2] * 500), 0)
    assert kept.bytes == 0
    assert kept.bring(0, held, 0, 500) == 0


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_common_length(left: list[int], right: list[int]):
    length = common_length(ids_of(*left), ids_of(*right))
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


def test_no_more_places_are_kept_than_somebody_goes_back_to():
    session = FakeSession(MODEL, context_length=2048)
    kept = Places(session, PlaceStore(1 << 30, MOST_PLACES))
    for number in range(MOST_PLACES + 5):
        kept.leave(0, filled(session, [number] * MOST_LEAST_TOKENS), 0)
    assert kept.bytes == MOST_PLACES * MOST_LEAST_TOKENS * session.position_bytes
    assert not kept.known(ids_of(*[0] * MOST_LEAST_TOKENS))
    assert kept.known(ids_of(*[MOST_PLACES + 4] * MOST_LEAST_TOKENS)) == MOST_LEAST_TOKENS
