"""Penalties, on rows worked by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SamplingParams
from engine.sampling import History, build_chooser
from engine.sampling.penalties import count_penalty, no_repeat_ngram, repeated_after, repetition_penalty
from tests.engine.sampling.rows import INF, row, rows, support


def test_repetition_lowers_seen_logits_of_either_sign_once():
    logits = row(2, -2, 0, 2, -INF)
    np.testing.assert_array_equal(repetition_penalty([0, 1, 2, 4, 0], 2.0)(logits), row(1, -4, 0, 2, -INF))
    np.testing.assert_array_equal(repetition_penalty([0, 1], 0.5)(logits), row(4, -1, 0, 2, -INF))
    np.testing.assert_array_equal(repetition_penalty([0, 1], 1.0)(logits), logits)


def test_frequency_counts_and_presence_does_not():
    logits = row(5, 5, 5)
    np.testing.assert_allclose(count_penalty([0, 0, 0, 1], 0.5, 0.25)(logits), row(3.25, 4.25, 5))
    np.testing.assert_allclose(count_penalty([], 0.5, 0.25)(logits), logits)


@pytest.mark.parametrize(
    ("history", "size", "banned"),
    [
        ([7, 8, 9, 7, 8], 3, {9}),
        ([1, 2, 1, 3, 1], 2, {2, 3}),
        ([1, 2, 3], 1, {1, 2, 3}),
        ([1, 1, 1], 2, {1}),
        ([1, 1, 1], 3, {1}),
        ([1, 2, 3], 4, set()),
        ([1, 2, 3], 3, set()),
        ([], 1, set()),
    ],
)
def test_an_n_gram_that_was_there_is_not_completed_again(history, size, banned):
    assert repeated_after(history, size) == banned
    logits = np.zeros(12, np.float32)
    assert support(no_repeat_ngram(history, size)(logits)) == set(range(12)) - banned


def test_a_block_of_everything_blocks_nothing():
    logits = row(1, 2)
    np.testing.assert_array_equal(no_repeat_ngram([0, 1], 1)(logits), logits)


def test_ids_outside_the_row_are_of_no_concern():
    for transform in (repetition_penalty([9], 2.0), count_penalty([9], 1.0, 1.0), no_repeat_ngram([9], 1)):
        np.testing.assert_array_equal(transform(row(1, 2)), row(1, 2))


@given(rows, st.lists(st.integers(0, 11), max_size=20), st.integers(1, 4))
def test_penalties_keep_the_row_alive_and_their_input_alone(logits, history, size):
    before = logits.copy()
    penalties = (repetition_penalty(history, 1.7), count_penalty(history, 0.5, 0.5), no_repeat_ngram(history, size))
    for transform in penalties:
        assert support(transform(logits))
        np.testing.assert_array_equal(logits, before)


def test_which_history_counts():
    history = History(np.array([0], np.int32), [1])
    logits = row(4, 4, 4)

    def after(**params: Any) -> list[float]:
        shaped: list[float] = build_chooser(SamplingParams(**params)).shape(logits, history).tolist()
        return shaped

    assert after(repetition_penalty=2.0) == [2, 2, 4]
    assert after(frequency_penalty=1.0) == [4, 3, 4]
    assert after(presence_penalty=1.0) == [4, 3, 4]
    assert after(no_repeat_ngram=1) == [-INF, -INF, 4]
    assert after(repetition_penalty=2.0, presence_penalty=0.5, no_repeat_ngram=2) == [2, 1.5, 4]


def test_penalties_come_before_greedy_and_before_the_temperature():
    history = History(np.zeros(0, np.int32), [0])
    assert build_chooser(SamplingParams(presence_penalty=1.0)).next_token(row(2, 1.5), history) == 1
    warm = build_chooser(SamplingParams("sample", temperature=0.5, presence_penalty=1.0, seed=0))
    np.testing.assert_allclose(warm.shape(row(3, 1), history), row(0, -2))
