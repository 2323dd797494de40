"""The token cache against a reference that keeps nothing and computes everything from scratch."""

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.errors import Cancelled, DeviceError
from engine.kv_cache import PREFILL_CHUNK, REMEMBERED_ROWS, TokenCache
from engine.types import CancellationToken, FloatArray, IdArray
from tests.fakes import FakeSession, hash_model

SIZE = 7
# Logits that depend on the whole history: a single wrong token anywhere shows.
MODEL = hash_model(SIZE, order=1000)
tokens = st.integers(0, SIZE - 1)


def ids_of(*values: int) -> IdArray:
    return np.array(values, np.int32)


def from_scratch(ids: Sequence[int], rows: Sequence[int]) -> list[FloatArray]:
    return [MODEL(tuple(ids[: row + 1])) for row in rows]


def nothing() -> None:
    pass


def make(*, chunk: int = 3, context_length: int = 64) -> tuple[TokenCache, FakeSession]:
    session = FakeSession(MODEL, context_length=context_length)
    return TokenCache(session, chunk=chunk), session


class CacheMachine(RuleBasedStateMachine):
    """Random prefills, appends, seeks, rewinds, cancellations and device errors; `held` is what the sequence should be.

    Whatever happened before, logits equal those computed from scratch, and a pass runs no more than it says.
    """

    CAPACITY = 12

    @initialize(chunk=st.integers(1, 5))
    def start(self, chunk: int):
        self.cache, self.session = make(chunk=chunk, context_length=self.CAPACITY)
        self.held: list[int] = []

    def changed(self, kept: int, added: list[int]) -> list[int]:
        return (self.held[:kept] + added)[: self.CAPACITY] or [0]

    @rule(data=st.data(), kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY))
    def prefill(self, data: st.DataObject, kept: int, added: list[int]):
        self.held = self.changed(kept, added)
        rows = sorted(data.draw(st.sets(st.integers(0, len(self.held) - 1), min_size=1, max_size=4)))
        before = self.session.tokens
        logits, reused = self.cache.prefill(ids_of(*self.held), rows, nothing)
        assert 0 <= reused <= len(self.held)
        assert self.session.tokens - before <= len(self.held) - reused
        np.testing.assert_array_equal(logits, np.stack(from_scratch(self.held, rows)))

    @precondition(lambda self: len(self.held) < self.CAPACITY)
    @rule(token=tokens)
    def append(self, token: int):
        self.held = [*self.held, token]
        np.testing.assert_array_equal(self.cache.append(token, nothing), MODEL(tuple(self.held)))

    @rule(share=st.floats(0, 1))
    def rewind(self, share: float):
        length = int(share * len(self.held))
        self.cache.rewind(length)
        self.held = self.held[:length]

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY))
    def seek(self, kept: int, added: list[int]):
        self.held = self.changed(kept, added)
        calls = self.session.calls
        self.cache.seek(ids_of(*self.held))
        assert self.session.calls == calls

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY), allowed=st.integers(0, 3))
    def cancelled_prefill(self, kept: int, added: list[int], allowed: int):
        self.held = self.changed(kept, added)
        calls = self.session.calls

        def checkpoint():
            if self.session.calls == calls + allowed:
                raise Cancelled

        with contextlib.suppress(Cancelled):
            self.cache.prefill(ids_of(*self.held), [len(self.held) - 1], checkpoint)
        assert self.session.calls <= calls + allowed

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, min_size=1, max_size=3), call=st.integers(1, 3))
    def failing_prefill(self, kept: int, added: list[int], call: int):
        self.held = self.changed(kept, added)
        self.session.fail_at = self.session.calls + call
        with contextlib.suppress(DeviceError):
            self.cache.prefill(ids_of(*self.held), [len(self.held) - 1], nothing)
        self.session.fail_at = None

    @invariant()
    def holds_what_it_should(self):
        if hasattr(self, "cache"):
            assert self.cache.ids.tolist() == self.held
            assert len(self.cache) == len(self.held)


def test_any_sequence_of_operations_equals_computing_from_scratch():
    run_state_machine_as_test(CacheMachine)


@given(st.lists(tokens, min_size=1, max_size=40), st.integers(1, 50))
def test_the_chunk_size_changes_nothing_but_the_number_of_calls(ids, chunk):
    cache, session = make(chunk=chunk)
    logits, reused = cache.prefill(ids_of(*ids), range(len(ids)), nothing)
    np.testing.assert_array_equal(logits, np.stack(from_scratch(ids, range(len(ids)))))
    assert reused == 0
    assert session.calls == -(-len(ids) // chunk)
    assert session.largest_call <= chunk


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
    # What the buffers hold is another matter: going on from there runs the tokens again.
    np.testing.assert_array_equal(cache.append(4, nothing), MODEL((1, 2, 3, 4)))
    assert session.tokens == 3


def test_typing_what_was_decoded_costs_nothing():
    cache, session = make()
    cache.prefill(ids_of(1, 2), (1,), nothing)
    for token in (3, 4, 5):
        cache.append(token, nothing)
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
    # More rows at once than are remembered come out right too.
    logits, _ = cache.prefill(ids_of(*ids), rows, nothing)
    np.testing.assert_array_equal(logits, np.stack(from_scratch(ids, rows)))
    session.reset_counts()
    cache.prefill(ids_of(*ids), rows[-REMEMBERED_ROWS:], nothing)
    assert session.calls == 0
    cache.prefill(ids_of(*ids), rows[:10], nothing)
    assert session.calls == 1


def test_rewinding_copies_and_computes_nothing():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    session.reset_counts()
    cache.rewind(0)
    assert (len(cache), session.calls) == (0, 0)
    with pytest.raises(AssertionError):
        cache.rewind(1)


def test_a_full_cache_takes_no_further_token():
    cache, _ = make(context_length=2)
    cache.append(1, nothing)
    cache.append(2, nothing)
    with pytest.raises(AssertionError, match="full"):
        cache.append(3, nothing)


def test_the_checkpoint_is_asked_before_every_pass_and_only_then():
    cache, session = make(chunk=2)
    seen: list[int] = []
    for _ in range(2):
        cache.prefill(ids_of(1, 2, 3, 4, 5), (4,), lambda: seen.append(session.calls))
    cache.append(6, lambda: seen.append(session.calls))
    assert seen == [0, 1, 2, 3]


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
    # Positions 2 and 3 are worthless now, though the tokens of the first prefill once stood there.
    _, reused = cache.prefill(ids_of(1, 2, 3, 4, 0), (4,), nothing)
    assert reused == 2


def test_the_copy_of_the_ids_is_a_copy():
    cache, _ = make()
    cache.seek(ids_of(1, 2))
    cache.ids[0] = 6
    assert cache.ids.tolist() == [1, 2]


def test_a_chunk_is_small_enough_to_cancel_soon():
    assert TokenCache(FakeSession(MODEL)).capacity == 256
    assert 1 <= PREFILL_CHUNK <= 512
