"""The token cache against a reference that keeps nothing and computes everything from scratch."""

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
from engine.kv_cache import PREFILL_CHUNK, TokenCache
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
    """Random prefills, appends, rewinds, cancellations and device errors; `held` is what the cache should hold."""

    CAPACITY = 12

    @initialize(chunk=st.integers(1, 5))
    def start(self, chunk: int):
        self.cache, self.session = make(chunk=chunk, context_length=self.CAPACITY)
        self.held: list[int] = []

    @rule(data=st.data(), kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY))
    def prefill(self, data: st.DataObject, kept: int, added: list[int]):
        ids = (self.held[:kept] + added)[: self.CAPACITY] or [0]
        rows = sorted(data.draw(st.sets(st.integers(0, len(ids) - 1), max_size=4)))
        before = self.session.tokens
        logits, reused = self.cache.prefill(ids_of(*ids), rows, nothing)
        # More than the sequence held may be reused: what was written behind its end is still there.
        assert reused <= len(ids)
        assert self.session.tokens - before == len(ids) - reused
        assert len(logits) == len(rows)
        for row, expected in zip(logits, from_scratch(ids, rows), strict=True):
            np.testing.assert_array_equal(row, expected)
        self.held = ids

    @precondition(lambda self: 0 < len(self.held) < self.CAPACITY)
    @rule(token=tokens)
    def append(self, token: int):
        self.held = [*self.held, token]
        np.testing.assert_array_equal(self.cache.append(token), MODEL(tuple(self.held)))

    @rule(share=st.floats(0, 1))
    def rewind(self, share: float):
        length = int(share * len(self.held))
        self.cache.rewind(length)
        self.held = self.held[:length]

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY), calls=st.integers(0, 3))
    def cancelled_prefill(self, kept: int, added: list[int], calls: int):
        ids = (self.held[:kept] + added)[: self.CAPACITY] or [0]
        left = [calls]

        def checkpoint():
            if left[0] == 0:
                raise Cancelled
            left[0] -= 1

        try:
            self.cache.prefill(ids_of(*ids), [len(ids) - 1], checkpoint)
        except Cancelled:
            # What was done by then stays, and is the beginning of what was asked for.
            assert self.cache.ids.tolist() == ids[: len(self.cache)]
            self.held = ids[: len(self.cache)]
        else:
            self.held = ids

    @precondition(lambda self: len(self.held) < self.CAPACITY)
    @rule(added=st.lists(tokens, min_size=1, max_size=3))
    def failing_prefill(self, added: list[int]):
        ids = (self.held + added)[: self.CAPACITY]
        self.session.fail_at = self.session.calls + 1
        with pytest.raises(DeviceError):
            self.cache.prefill(ids_of(*ids), [len(ids) - 1], nothing)
        self.session.fail_at = None
        assert self.cache.ids.tolist() == ids[: len(self.cache)]
        self.held = ids[: len(self.cache)]

    @invariant()
    def holds_what_it_should(self):
        if hasattr(self, "cache"):
            assert self.cache.ids.tolist() == self.held
            assert len(self.cache) == len(self.held)
            # What counts as cached was really written, and not written over since.
            assert self.session.written[: len(self.held)] == self.held


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
    assert (reused, session.tokens) == (2, 2)
    np.testing.assert_array_equal(logits[0], MODEL((1, 2, 3)))


def test_remembered_rows_are_forgotten_with_their_tokens():
    cache, _ = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    cache.rewind(2)
    cache.append(5)
    logits, _ = cache.prefill(ids_of(1, 2, 5), (2,), nothing)
    np.testing.assert_array_equal(logits[0], MODEL((1, 2, 5)))
    logits, _ = cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    np.testing.assert_array_equal(logits[0], MODEL((1, 2, 3)))


def test_a_prompt_that_is_cached_whole_and_wants_no_row_costs_nothing():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (), nothing)
    session.reset_counts()
    logits, reused = cache.prefill(ids_of(1, 2), (), nothing)
    assert (len(logits), reused, session.calls, len(cache)) == (0, 2, 0, 2)


def test_rewinding_copies_and_computes_nothing():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (), nothing)
    session.reset_counts()
    cache.rewind(0)
    assert (len(cache), session.calls) == (0, 0)
    with pytest.raises(AssertionError):
        cache.rewind(1)


def test_the_checkpoint_is_asked_before_every_chunk():
    cache, session = make(chunk=2)
    seen = []
    cache.prefill(ids_of(1, 2, 3, 4, 5), (), lambda: seen.append(session.calls))
    assert seen == [0, 1, 2]


def test_cancelling_takes_effect_before_the_next_chunk():
    cache, session = make(chunk=2)
    token = CancellationToken()
    session.cancel_at = (2, token)
    with pytest.raises(Cancelled):
        cache.prefill(ids_of(1, 2, 3, 4, 5, 6), (5,), token.raise_if_cancelled)
    assert session.calls == 2
    assert cache.ids.tolist() == [1, 2, 3, 4]


def test_the_copy_of_the_ids_is_a_copy():
    cache, _ = make()
    cache.prefill(ids_of(1, 2), (), nothing)
    cache.ids[0] = 6
    assert cache.ids.tolist() == [1, 2]


def test_a_chunk_is_small_enough_to_cancel_soon():
    assert TokenCache(FakeSession(MODEL)).capacity == 256
    assert 1 <= PREFILL_CHUNK <= 512
