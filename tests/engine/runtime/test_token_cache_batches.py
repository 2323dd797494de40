"""Several sequences at once in the token cache: one pass for all, and a second prompt beside the first."""

from collections.abc import Sequence

import numpy as np
import pytest

from engine.errors import DeviceError
from engine.runtime.token_cache import TokenCache
from engine.types import IdArray
from tests.engine.runtime.caches import MODEL, SIZE, ids_of, make, nothing


def branches_of(prompt: Sequence[int], *ends: Sequence[int]) -> list[IdArray]:
    return [ids_of(*prompt, *end) for end in ends]


def assert_rows(cache: TokenCache, sequences: list[IdArray]) -> None:
    for row, ids in zip(cache.rows_after(sequences, nothing), sequences, strict=True):
        np.testing.assert_array_equal(row, MODEL(tuple(ids.tolist())))


def test_sequences_that_differ_in_their_last_token_cost_one_pass():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2, 3), (4,), (5,), (6,)))
    assert (session.calls, session.tokens) == (1, 3)
    # The prompt was copied to two further slots.
    assert session.copied == 2 * 3
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2, 3), (4, 0), (5, 0), (6, 0)))
    assert (session.calls, session.tokens, session.copied) == (1, 3, 0)


def test_when_beams_are_reordered_only_what_differs_is_copied():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    assert_rows(cache, branches_of((1, 2, 3), (4, 1), (5, 1), (6, 1)))
    session.reset_counts()
    # The last of them has two continuations, the first one none, the second one.
    assert_rows(cache, branches_of((1, 2, 3), (6, 1, 2), (6, 1, 3), (5, 1, 4)))
    assert (session.calls, session.tokens, session.copied) == (1, 3, 2)


def test_a_sequence_that_is_left_alone_goes_on_from_where_it_is():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    assert_rows(cache, branches_of((1, 2, 3), (4, 1), (5, 1)))
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2, 3), (5, 1, 2)))
    assert (session.calls, session.tokens, session.copied) == (1, 1, 2)


def test_a_second_prompt_aside_and_its_branches_leave_the_first_where_it_is():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    cache.prefill(ids_of(4, 5), (1,), nothing, aside=True)
    cache.rows_after(branches_of((4, 5), (0,), (1,), (2,)), nothing, aside=True)
    session.reset_counts()
    _, reused = cache.prefill(ids_of(1, 2, 3, 0), (3,), nothing)
    assert (reused, session.tokens) == (3, 1)
    _, reused = cache.prefill(ids_of(4, 5, 6), (2,), nothing, aside=True)
    assert (reused, session.tokens) == (2, 2)


def test_two_prompts_grow_together_in_one_pass_a_token():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    cache.prefill(ids_of(4, 5), (1,), nothing, aside=True)
    session.reset_counts()
    assert_rows(cache, [ids_of(1, 2, 3, 0), ids_of(4, 5, 0)])
    # The second one was brought up to the first.
    assert (session.calls, session.tokens, session.copied) == (1, 2, 2)
    assert_rows(cache, [ids_of(1, 2, 3, 0, 6), ids_of(4, 5, 0, 6)])
    assert (session.calls, session.tokens, session.copied) == (2, 4, 2)


def test_what_a_sequence_lacks_but_for_its_last_token_is_run_for_itself():
    cache, session = make(chunk=8)
    cache.prefill(ids_of(1, 2), (1,), nothing)
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2), (3, 4, 5), (6,)))
    assert (session.calls, session.tokens) == (2, 2 + 2)


def test_the_same_sequence_twice_is_run_once_and_one_that_is_remembered_not_at_all():
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2), (3,), (4,), (4,)))
    assert (session.calls, session.tokens) == (1, 1)


def test_more_sequences_than_slots_are_run_in_several_batches():
    cache, session = make(slots=3)
    cache.prefill(ids_of(1, 2), (1,), nothing)
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2), *((token,) for token in range(SIZE))))
    assert (session.calls, session.tokens) == (3, SIZE)


def test_with_one_slot_those_that_begin_alike_are_run_one_after_the_other():
    cache, session = make(slots=1)
    assert_rows(cache, branches_of((1, 2, 1), (3, 3), (2, 2), (3, 2)))
    assert session.tokens == 5 + 2 + 1


def test_more_sequences_than_rows_are_remembered_come_out_right():
    cache, _ = make(slots=8)
    assert_rows(cache, [ids_of(a, b, c) for a in range(5) for b in range(4) for c in range(5)])


def test_where_there_is_no_memory_for_another_slot_the_first_is_as_it_was(monkeypatch: pytest.MonkeyPatch):
    cache, session = make()
    cache.prefill(ids_of(1, 2, 3), (2,), nothing)

    def fails(*_: object) -> None:
        raise DeviceError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(session, "copy", fails)
        with pytest.raises(DeviceError):
            cache.rows_after(branches_of((1, 2, 3), (4,), (5,)), nothing)
    session.reset_counts()
    assert_rows(cache, branches_of((1, 2, 3), (4,)))
    assert session.tokens == 1
    assert_rows(cache, branches_of((1, 2, 3), (4, 4), (5, 5)))
