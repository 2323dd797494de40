"""Truncation: supports worked by hand, one by one, and properties of every row."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sampling.rows import entropy, largest, log_softmax
from engine.sampling.truncation import epsilon, eta, min_p, top_k, top_n_sigma, top_p
from tests.engine.sampling.rows import INF, of_probabilities, row, rows, support

RULES = {
    "min_p": (min_p, st.floats(1e-9, 1.0), True),
    "top_n_sigma": (top_n_sigma, st.floats(1e-3, 10.0), False),
    "eta": (eta, st.floats(1e-9, 1.0), True),
    "epsilon": (epsilon, st.floats(1e-9, 1.0), True),
}


@pytest.mark.parametrize(
    ("share", "logits", "kept"),
    [
        (0.5, of_probabilities(0.5, 0.3, 0.2), {0, 1}),
        (0.25, of_probabilities(0.5, 0.3, 0.2), {0, 1, 2}),
        (0.7, of_probabilities(0.5, 0.3, 0.2), {0}),
        (1.0, row(1, 1, 0), {0, 1}),
        (0.1, row(-INF, 3, -INF), {1}),
    ],
)
def test_min_p_keeps_what_is_likely_enough_beside_the_best(share, logits, kept):
    assert support(min_p(share)(logits)) == kept


def test_top_n_sigma_counts_deviations_from_the_largest():
    # Mean 2, variance 2: one deviation below 4 lies between 2 and 3, two between 1 and 2.
    logits = row(0, 1, 2, 3, 4)
    assert support(top_n_sigma(1.0)(logits)) == {3, 4}
    assert support(top_n_sigma(2.0)(logits)) == {2, 3, 4}
    assert support(top_n_sigma(3.0)(logits)) == {0, 1, 2, 3, 4}
    assert support(top_n_sigma(1.0)(row(5, 5))) == {0, 1}
    # At a temperature near 0 rows are this wide: the threshold is below all numbers of the row's type.
    assert support(top_n_sigma(9.0)(row(0, 3e38, -INF))) == {0, 1}


def test_top_n_sigma_takes_its_deviation_over_the_finite_entries_before_truncation():
    logits = row(0, 1, 2, 3, 4)
    masked = row(0, 1, -INF, 2, 3, 4, -INF)
    assert support(top_n_sigma(1.0)(masked)) == {4, 5}
    cut = top_k(2)(logits)
    assert support(top_n_sigma(1.0)(cut, logits)) == {3, 4}
    assert support(top_n_sigma(1.0)(cut)) == {4}


def test_top_n_sigma_does_not_depend_on_the_temperature():
    logits = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    assert support(top_n_sigma(1.0)(logits)) == support(top_n_sigma(1.0)(logits / np.float32(0.25)))


def test_epsilon_keeps_a_probability_of_at_least_the_threshold():
    logits = of_probabilities(0.6, 0.3, 0.09, 0.01)
    assert support(epsilon(0.05)(logits)) == {0, 1, 2}
    assert support(epsilon(0.2)(logits)) == {0, 1}
    assert support(epsilon(0.9)(logits)) == {0}  # none reaches it: the best stays


def test_eta_lowers_its_threshold_where_the_row_is_uncertain():
    # Four equal entries: H = log 4, sqrt(0.04) * exp(-H) = 0.05, more than 0.04; the threshold is 0.04.
    assert support(eta(0.04)(row(0, 0, 0, 0))) == {0, 1, 2, 3}
    # H of (0.99, 0.01) is 0.056: sqrt(0.04) * exp(-0.056) = 0.19 > 0.04, so 0.04 cuts the second.
    assert support(eta(0.04)(of_probabilities(0.99, 0.01))) == {0}
    # A hundred equal entries have p = 0.01 < 0.04, but sqrt(0.04) / 100 = 0.002 is the smaller threshold.
    assert len(support(eta(0.04)(row(*[0.0] * 100)))) == 100
    assert len(support(epsilon(0.04)(row(*[0.0] * 100)))) == 100  # all are equally good


def test_entropy_ignores_what_cannot_be_drawn():
    assert entropy(row(0, 0, -INF, 0, 0)) == pytest.approx(math.log(4), abs=1e-6)
    assert entropy(row(5, -INF)) == 0.0
    assert entropy(np.log(np.array([0.5, 0.25, 0.25]))) == pytest.approx(1.5 * math.log(2), abs=1e-14)


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_every_rule_keeps_the_best_adds_nothing_and_is_monotone(name, data):
    rule, values, falling = RULES[name]
    logits = data.draw(rows)
    low, high = sorted((data.draw(values), data.draw(values)))
    few, many = (high, low) if falling else (low, high)
    assert support(rule(few)(logits)) <= support(rule(many)(logits)) <= support(logits)
    assert int(np.argmax(logits)) in support(rule(few)(logits))
    kept = rule(few)(logits)
    np.testing.assert_array_equal(kept[kept > -INF], logits[kept > -INF])
    assert kept.dtype == logits.dtype
    assert rule(few)(logits.astype(np.float64)).dtype == np.float64


@given(rows, st.integers(1, 14))
def test_the_largest_are_those_of_a_stable_sort(logits, count):
    expected = [i for i in np.argsort(-logits, kind="stable").tolist() if logits[i] > -INF][:count]
    assert largest(logits, count).tolist() == expected


@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("mass", [0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_nucleus_of_a_large_row_is_what_sorting_all_gives(spread, mass):
    logits = (spread * np.random.default_rng(3).standard_normal(20_000)).astype(np.float32)
    logits[::7] = -INF
    probabilities = np.exp(log_softmax(logits.astype(np.float64)))
    order = np.argsort(-probabilities, kind="stable")
    needed = int(np.searchsorted(np.cumsum(probabilities[order]), mass)) + 1
    kept = support(top_p(mass)(logits))
    # The mass is summed in single precision: entries of a hundred-millionth may fall on either side.
    assert abs(len(kept) - needed) <= max(2, needed // 1000)
    assert kept == set(order[: len(kept)].tolist())


@pytest.mark.parametrize("count", [1, 5, 50, 5000, 19_999])
def test_top_k_of_a_large_row_is_what_sorting_all_gives(count):
    logits = np.random.default_rng(4).standard_normal(20_000).astype(np.float32)
    assert support(top_k(count)(logits)) == set(np.argsort(-logits, kind="stable")[:count].tolist())
