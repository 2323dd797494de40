"""The sampling chain: supports on rows worked by hand, the distribution of the draws, and properties of all rows."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine.config import SamplingParams
from engine.sampling import Chooser, build_chooser, log_softmax, log_sum_exp
from engine.sampling.temperature import temperature
from engine.sampling.truncation import top_k, top_p
from engine.types import FloatArray

INF = math.inf


def row(*values: float) -> FloatArray:
    return np.array(values, np.float32)


def of_probabilities(*values: float) -> FloatArray:
    with np.errstate(divide="ignore"):
        logits: FloatArray = np.log(np.array(values)).astype(np.float32)
    return logits


def support(logits: FloatArray) -> set[int]:
    return set(np.flatnonzero(logits > -INF).tolist())


finite = st.floats(-80, 80, width=32)
rows = st.lists(st.one_of(finite, st.just(-INF)), min_size=1, max_size=12).map(lambda v: row(*v))
parameters = st.builds(
    SamplingParams,
    strategy=st.just("sample"),
    temperature=st.floats(1e-60, 100) | st.sampled_from([1e-45, 1e-38, 1e-3, 0.5, 1.0]),
    top_k=st.integers(0, 15),
    top_p=st.floats(1e-12, 1.0) | st.just(1.0),
    seed=st.integers(0, 2**63 - 1),
)


# --- log-probabilities -----------------------------------------------------------------------------------------------


@given(rows)
def test_log_softmax_sums_to_one_and_keeps_minus_infinity(logits):
    assume(support(logits))
    result = log_softmax(logits)
    assert result.dtype == np.float32
    assert support(result) == support(logits)
    assert np.exp(result.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)


def test_log_softmax_on_a_row_worked_by_hand():
    np.testing.assert_allclose(np.exp(log_softmax(row(math.log(3), 0.0, -INF))), [0.75, 0.25, 0.0], atol=1e-6)


def test_large_logits_do_not_overflow():
    np.testing.assert_allclose(log_softmax(row(3e38, 3e38)), [-math.log(2)] * 2, rtol=1e-6)
    # Some models mask with the lowest number of the type instead of -inf.
    assert log_softmax(row(20.0, float(np.finfo(np.float32).min)))[0] == 0.0


def test_log_sum_exp():
    assert log_sum_exp(row(-INF, -INF)) == -INF
    assert log_sum_exp(row(1000.0, 1000.0)) == pytest.approx(1000 + math.log(2))
    assert log_sum_exp(np.array([0.1, 0.2, -INF])) == pytest.approx(math.log(math.exp(0.1) + math.exp(0.2)), abs=1e-14)


def test_double_precision_is_kept():
    assert log_softmax(np.array([0.1, 0.2])).dtype == np.float64
    assert np.exp(log_softmax(np.array([0.1, 0.2]))).sum() == pytest.approx(1.0, abs=1e-15)


# --- supports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "logits", "kept"),
    [
        (1, row(1, 3, 2), {1}),
        (2, row(1, 3, 2), {1, 2}),
        (3, row(1, 3, 2), {0, 1, 2}),
        (99, row(1, 3, 2), {0, 1, 2}),
        (1, row(3, 1, 3), {0, 2}),
        (2, row(3, 2, 2, 1), {0, 1, 2}),
        (2, row(-INF, 5, -INF), {1}),
        (1, row(-7), {0}),
    ],
)
def test_top_k_keeps_the_k_largest_and_ties_at_the_edge(count, logits, kept):
    assert support(top_k(count)(logits)) == kept


@pytest.mark.parametrize(
    ("mass", "logits", "kept"),
    [
        (0.4, of_probabilities(0.5, 0.3, 0.2), {0}),
        (0.6, of_probabilities(0.5, 0.3, 0.2), {0, 1}),
        (0.9, of_probabilities(0.2, 0.5, 0.3), {0, 1, 2}),
        (0.7, of_probabilities(0.2, 0.5, 0.3), {1, 2}),
        (1e-9, of_probabilities(0.2, 0.5, 0.3), {1}),
        (1.0, of_probabilities(0.2, 0.5, 0.3), {0, 1, 2}),
        (0.999, of_probabilities(0.0, 1.0), {1}),
        # Exact in binary: the set whose mass is just reached is enough.
        (0.25, row(0, 0, 0, 0), {0}),
        (0.5, row(0, 0, 0, 0), {0, 1}),
        (0.75, row(0, 0, 0, 0), {0, 1, 2}),
        (0.5000001, row(0, 0, 0, 0), {0, 1, 2}),
        (0.5, row(7, -INF, 7), {0}),
    ],
)
def test_top_p_keeps_the_smallest_set_that_reaches_the_mass(mass, logits, kept):
    assert support(top_p(mass)(logits)) == kept


def test_temperature_divides_and_keeps_ratios():
    shaped = temperature(0.5)(row(1.0, 0.0, -1.0))
    np.testing.assert_allclose(shaped - shaped[1], [2.0, 0.0, -2.0])


def test_transforms_leave_their_input_alone():
    logits = row(3, 2, 1, -INF)
    copy = logits.copy()
    for transform in (temperature(0.3), top_k(1), top_p(0.2)):
        transform(logits)
        np.testing.assert_array_equal(logits, copy)


def test_the_chain_applies_temperature_before_truncation():
    logits = of_probabilities(0.6, 0.3, 0.1)
    cold = build_chooser(SamplingParams("sample", temperature=0.25, top_p=0.85, seed=0))
    assert support(cold.shape(logits)) == {0}
    assert support(top_p(0.85)(logits)) == {0, 1}


def test_top_p_acts_on_what_top_k_left():
    # Of all entries, 0.35 needs two. Of the best two, renormalised to 4/7 and 3/7, one is enough.
    logits = of_probabilities(0.4 * 0.7, 0.3 * 0.7, 0.3 * 0.7, 0.3, 0.0)[[3, 0, 1, 2]]
    assert len(support(top_p(0.5)(logits))) == 2
    assert len(support(build_chooser(SamplingParams("sample", top_k=2, top_p=0.5, seed=0)).shape(logits))) == 1


# --- properties ------------------------------------------------------------------------------------------------------


@given(rows, st.integers(1, 12), st.integers(1, 12))
def test_top_k_is_monotone(logits, a, b):
    low, high = sorted((a, b))
    assert support(top_k(low)(logits)) <= support(top_k(high)(logits))


@given(rows, st.floats(1e-9, 1.0), st.floats(1e-9, 1.0))
def test_top_p_is_monotone(logits, a, b):
    assume(support(logits))
    low, high = sorted((a, b))
    assert support(top_p(low)(logits)) <= support(top_p(high)(logits))


@given(rows, st.floats(1e-9, 1.0, exclude_max=True))
def test_top_p_reaches_its_mass_and_no_smaller_set_does(logits, mass):
    assume(support(logits))
    probabilities = np.exp(log_softmax(logits.astype(np.float64)))
    kept = sorted(probabilities[sorted(support(top_p(mass)(logits)))])
    assert sum(kept) >= mass - 1e-9
    assert sum(kept[1:]) < mass + 1e-9


@given(rows, parameters)
@example(row(-INF, 5.0, -INF), SamplingParams("sample", temperature=1e-60, top_k=1, top_p=1e-12, seed=0))
@example(row(80.0, -80.0), SamplingParams("sample", temperature=1e-38, seed=0))
@example(row(3.0, 3.0), SamplingParams("sample", temperature=1e-45, seed=0))
@example(row(-9e-39, 0.0), SamplingParams("sample", top_p=0.5, seed=0))
def test_no_chain_empties_the_support_or_draws_what_is_ruled_out(logits, params):
    assume(support(logits))
    chooser = build_chooser(params)
    shaped = chooser.shape(logits)
    assert not np.isnan(shaped).any()
    assert support(shaped)
    assert support(shaped) <= support(logits)
    assert int(np.argmax(logits)) in support(shaped)
    assert chooser.choose(logits) in support(shaped)


@given(rows, parameters, st.integers(1, 15))
def test_distinct_choices_are_distinct_and_as_many_as_there_are(logits, params, count):
    assume(support(logits))
    chooser = build_chooser(params)
    available = support(chooser.shape(logits))
    chosen = chooser.choose_distinct(logits, count)
    assert len(set(chosen)) == len(chosen) == min(count, len(available))
    assert set(chosen) <= available


@given(rows, parameters, st.integers(2, 5))
def test_the_first_of_several_choices_is_the_only_choice(logits, params, count):
    assume(support(logits))
    assert build_chooser(params).choose(logits) == build_chooser(params).choose_distinct(logits, count)[0]


# --- greedy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams("sample", temperature=0.0, seed=1)])
def test_greedy_takes_the_largest_and_of_ties_the_lowest_id(params):
    chooser = build_chooser(params)
    assert chooser.choose(row(1, 5, 5, 2)) == 1
    assert chooser.choose(row(1, 5, 5, 2), np.array([0, 9, 4, 1], np.int32)) == 2
    assert chooser.choose_distinct(row(1, 5, 5, 2), 3) == [1, 2, 3]
    assert chooser.choose_distinct(row(1, 5, 5, 1), 4, np.array([7, 9, 4, 3], np.int32)) == [2, 1, 3, 0]


def test_greedy_ignores_the_other_parameters():
    assert build_chooser(SamplingParams("greedy", temperature=5.0, top_k=1, top_p=0.1, seed=3)) == Chooser((), None)


# --- draws -----------------------------------------------------------------------------------------------------------

DRAWS = 20_000
CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}
"""Chi-square limits at 0.001 by degrees of freedom. The seeds are fixed, so the result never changes."""


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    assert counts[probabilities == 0].sum() == 0
    expected = counts.sum() * probabilities[probabilities > 0]
    return float(((counts[probabilities > 0] - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams("sample", seed=1), [0.5, 0.25, 0.15, 0.1, 0.0]),
        (SamplingParams("sample", temperature=0.5, seed=2), [0.25, 0.0625, 0.0225, 0.01, 0.0]),
        (SamplingParams("sample", top_k=2, seed=3), [0.5, 0.25, 0.0, 0.0, 0.0]),
        (SamplingParams("sample", top_p=0.8, seed=4), [0.5, 0.25, 0.15, 0.0, 0.0]),
        (SamplingParams("sample", temperature=2.0, top_k=3, seed=5), [0.5**0.5, 0.25**0.5, 0.15**0.5, 0.0, 0.0]),
    ],
)
def test_draws_follow_the_renormalised_probabilities(params, expected):
    chooser = build_chooser(params)
    logits = of_probabilities(0.5, 0.25, 0.15, 0.1, 0.0) + np.float32(3.0)
    counts = np.bincount([chooser.choose(logits) for _ in range(DRAWS)], minlength=5)
    probabilities = np.array(expected) / sum(expected)
    assert chi_square(counts, probabilities) < CRITICAL[int((probabilities > 0).sum()) - 1]


def test_drawing_two_follows_drawing_without_putting_back():
    probabilities = [0.6, 0.3, 0.1]
    chooser = build_chooser(SamplingParams("sample", seed=6))
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    expected = np.array([probabilities[a] * probabilities[b] / (1 - probabilities[a]) for a, b in pairs])
    drawn = [tuple(chooser.choose_distinct(of_probabilities(*probabilities), 2)) for _ in range(DRAWS)]
    counts = np.array([drawn.count(pair) for pair in pairs])
    assert chi_square(counts, expected) < 20.52  # 5 degrees of freedom at 0.001


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    logits = row(*np.zeros(50))

    def draws(seed: int | None) -> list[int]:
        chooser = build_chooser(SamplingParams("sample", seed=seed))
        return [chooser.choose(logits) for _ in range(20)]

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    assert draws(None) != draws(None)
