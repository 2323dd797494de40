"""The token cache against a reference that keeps nothing and computes everything from scratch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Cancelled, DeviceError
from engine.runtime.remembered_rows import REMEMBERED_ROWS
from engine.runtime.token_cache import PREFILL_CHUNK, TokenCache
from engine.types import CancellationToken
from tests.engine.runtime.caches import MODEL, SIZE, from_scratch, ids_of, make, nothing, tokens
from tests.fakes import FakeSession, hash_model


@given(st.lists(tokens, min_size=1, max_size=40), st.integers(1, 50))
def test_the_chunk_size_changes_nothing_but_the_number_of_calls(ids, chunk):
    cache, session = make(chunk=chunk)
    logits, reused = cache.prefill(ids_of(*ids), range(len(ids)), nothing)
    np.testing.assert_array_equal(logits, np.stack(from_scratch(ids, range(len(ids)))))
    assert reused == 0
    assert session.calls == -(-len(ids) // chunk)
    assert session.largest_call <= chunk


def test_a_draft_goes_through_the_pass_of_its_last_token_and_its_rows_are_known_if_it_is_right():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    session.reset_counts()
    cache.row_ahead(ids_of(1, 2, 3, 4), ids_of(5, 6), nothing)
    assert (session.calls, session.tokens) == (1, 3)
    for ids in (ids_of(1, 2, 3, 4), ids_of(1, 2, 3, 4, 5), ids_of(1, 2, 3, 4, 5, 6)):
        assert cache.remembers(ids)
        np.testing.assert_array_equal(cache.row_after(ids, nothing), MODEL(tuple(ids.tolist())))
    assert session.calls == 1


def test_rejected_tokens_are_cut_back_without_a_pass_of_their_own():
    cache, session = make(chunk=8)
    cache.row_ahead(ids_of(1, 2, 3), ids_of(), nothing)
    cache.row_ahead(ids_of(1, 2, 3, 4), ids_of(5, 6), nothing)
    session.reset_counts()
    _, run = cache.row_ahead(ids_of(1, 2, 3, 4, 0), ids_of(6), nothing)
    assert (run, session.calls, session.tokens) == (2, 1, 2)


def test_rows_of_rejected_drafts_push_no_other_row_out():
    cache, session = make(chunk=8, context_length=200)
    cache.prefill(ids_of(1), (0,), nothing)
    ids = [1, 2]
    for _ in range(REMEMBERED_ROWS - 2):
        cache.row_ahead(ids_of(*ids), ids_of(3, 4, 5), nothing)
        ids.append(2)
    session.reset_counts()
    cache.row_after(ids_of(1), nothing)
    assert session.calls == 0
    assert not cache.remembers(ids_of(1, 2, 3))


def test_a_draft_waits_where_more_than_the_last_token_is_new():
    cache, session = make(chunk=8)
    _, run = cache.row_ahead(ids_of(1, 2, 3), ids_of(4, 5), nothing)
    assert (run, session.calls, session.tokens) == (3, 1, 3)
    assert not cache.remembers(ids_of(1, 2, 3, 4))


def test_a_longer_prompt_costs_its_new_tokens_only():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3, 4), (3,), nothing)
    session.reset_counts()
    _, reused = cache.prefill(ids_of(1, 2, 3, 4, 5), (4,), nothing)
    assert (reused, session.tokens) == (4, 1)


def test_the_same_prompt_again_costs_nothing():
    cache, session = make()
    first, _ = cache.prefill(ids_of(1, 2, 3, 4), (1, 3), nothing)
    session.reset_counts()
    again, reused = cache.prefill(ids_of(1, 2, 3, 4), (1, 3), nothing)
    assert (reused, session.calls) == (4, 0)
    np.testing.assert_array_equal(first, again)


def test_a_row_that_is_not_remembered_is_run_again():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3, 4), (3,), nothing)
    session.reset_counts()
    logits, reused = cache.prefill(ids_of(1, 2, 3, 4), (2,), nothing)
    assert (reused, session.tokens) == (2, 1)
    np.testing.assert_array_equal(logits[0], MODEL((1, 2, 3)))


def test_nothing_behind_the_last_row_wanted_is_run():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2, 3, 4, 5, 6), (1, 2), nothing)
    assert (session.calls, session.tokens) == (1, 3)


def test_going_back_to_an_earlier_sequence_costs_nothing():
    cache, session = make()
    first, _ = cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    cache.prefill(ids_of(1, 5, 6), (2,), nothing)
    session.reset_counts()
    again, _ = cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    assert session.calls == 0
    np.testing.assert_array_equal(first, again)
    # The content of the slot is another matter: continuing from there runs the tokens again.
    np.testing.assert_array_equal(cache.row_after(ids_of(1, 2, 3, 4), nothing), MODEL((1, 2, 3, 4)))
    assert session.tokens == 3


def test_typing_what_was_decoded_costs_nothing():
    cache, session = make()
    cache.prefill(ids_of(1, 2), (1,), nothing)
    for ids in ((1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5)):
        cache.row_after(ids_of(*ids), nothing)
    session.reset_counts()
    logits, _ = cache.prefill(ids_of(1, 2, 3, 4), (2, 3), nothing)
    assert session.calls == 0
    np.testing.assert_array_equal(logits, np.stack(from_scratch([1, 2, 3, 4], (2, 3))))


def test_a_row_belongs_to_its_whole_history():
    cache, _ = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    logits, _ = cache.prefill(ids_of(4, 2, 3), (2,), nothing)
    np.testing.assert_array_equal(logits[0], MODEL((4, 2, 3)))


def test_the_rows_remembered_are_bounded():
    cache, session = make(context_length=REMEMBERED_ROWS + 20, chunk=1000)
    ids = [n % SIZE for n in range(REMEMBERED_ROWS + 10)]
    rows = range(len(ids))
    # More rows at once than are remembered are correct too.
    logits, _ = cache.prefill(ids_of(*ids), rows, nothing)
    np.testing.assert_array_equal(logits, np.stack(from_scratch(ids, rows)))
    session.reset_counts()
    cache.prefill(ids_of(*ids), rows[-REMEMBERED_ROWS:], nothing)
    assert session.calls == 0
    cache.prefill(ids_of(*ids), rows[:10], nothing)
    assert session.calls == 1


def test_a_sequence_longer_than_the_cache_is_refused():
    cache, _ = make(context_length=2)
    cache.row_after(ids_of(1, 2), nothing)
    with pytest.raises(AssertionError, match="longer"):
        cache.row_after(ids_of(1, 2, 3), nothing)


def test_rows_are_read_only_for_they_are_the_remembered_ones():
    cache, _ = make(chunk=2)
    several, _ = cache.prefill(ids_of(1, 2, 3), (0, 1, 2), nothing)
    at_once, _ = cache.prefill(ids_of(4, 5), (0, 1), nothing)
    batch = cache.rows_after([ids_of(1, 2, 4), ids_of(1, 2, 5)], nothing)
    for row in (*several, *at_once, *batch, cache.row_after(ids_of(1, 2, 3, 4), nothing)):
        with pytest.raises(ValueError, match="read-only"):
            row[0] = 0.0


# --- cancellation and errors -----------------------------------------------------------------------------------------


def test_the_checkpoint_is_asked_before_every_pass_and_only_then():
    cache, session = make(chunk=2)
    seen: list[int] = []
    for _ in range(2):
        cache.prefill(ids_of(1, 2, 3, 4, 5), (4,), lambda: seen.append(session.calls))
    cache.row_after(ids_of(1, 2, 3, 4, 5, 6), lambda: seen.append(session.calls))
    cache.rows_after([ids_of(1, 2, 3, 4, 5, 0), ids_of(1, 2, 3, 4, 5, 1)], lambda: seen.append(session.calls))
    assert seen == [0, 1, 2, 3, 4]


def test_cancelling_takes_effect_before_the_next_chunk_and_what_was_run_is_kept():
    cache, session = make(chunk=2)
    token = CancellationToken()
    session.cancel_at = (2, token)
    ids = ids_of(1, 2, 3, 4, 5, 6)
    with pytest.raises(Cancelled):
        cache.prefill(ids, (5,), token.raise_if_cancelled)
    assert (session.calls, session.tokens) == (2, 4)
    _, reused = cache.prefill(ids, (5,), nothing)
    assert (reused, session.tokens) == (4, 6)


def test_what_a_failed_pass_wrote_over_is_not_trusted():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2, 3, 4), (3,), nothing)
    session.fail_at = 2
    with pytest.raises(DeviceError):
        cache.prefill(ids_of(1, 2, 5, 6), (3,), nothing)
    session.fail_at = None
    # Positions 2 and 3 are invalid now, although the tokens of the first prefill once stood there.
    _, reused = cache.prefill(ids_of(1, 2, 3, 4, 0), (4,), nothing)
    assert reused == 2


def test_a_chunk_is_small_enough_to_cancel_soon():
    assert TokenCache(FakeSession(MODEL)).capacity == 256
    assert 1 <= PREFILL_CHUNK <= 512


def test_what_is_made_of_a_row_is_made_once():
    cache = TokenCache(FakeSession(hash_model(8)))
    made: list[str] = []

    def compute(name: str) -> float:
        made.append(name)
        return float(len(made))

    ids = np.arange(4, dtype=np.int32)
    assert cache.remember_total(ids, lambda: compute("a")) == 1.0
    assert cache.remember_total(ids, lambda: compute("a")) == 1.0
    assert cache.remember_total(ids[:3], lambda: compute("b")) == 2.0
    for number in range(REMEMBERED_ROWS):
        cache.remember_total(np.array([9, number], np.int32), lambda: 0.0)
    assert cache.remember_total(ids, lambda: compute("a again")) == 3.0
    assert made == ["a", "b", "a again"]


@pytest.mark.parametrize(("seconds", "sizes"), [(0.2, [16, 8, 8, 8]), (0.03, [16, 16, 16]), (0.001, [16, 16, 16])])
def test_a_pass_of_a_prefill_is_as_long_as_time_allows(seconds: float, sizes: list[int]):
    session = FakeSession(MODEL, context_length=64)
    now, found = [0.0], []

    def sleep(time: float) -> None:
        now[0] += time
        found.append(session.largest_call)
        session.largest_call = 0

    session.seconds_per_call, session.sleep = seconds, sleep
    cache = TokenCache(session, chunk=16, clock=lambda: now[0])
    cache.row_after(ids_of(*[1] * sum(sizes)), nothing)
    assert found == sizes
    session.seconds_per_call = 0.0001
    found.clear()
    cache.row_after(ids_of(*[2] * 64), nothing)
    assert found[1:3] == [16, 16]
