"""Dynamic temperatures: their values on rows worked by hand, and where each rule applies."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SamplingParams
from engine.sampling import History, build_chooser
from engine.sampling.rows import entropy_and_varentropy_bits, top_two_gap
from engine.sampling.temperature import (
    adapt_temperature,
    dynamic,
    edt_temperature,
    gate,
    is_chaotic,
    kl_divergence,
    kl_temperature,
)
from tests.engine.sampling.rows import INF, of_probabilities, row, rows, support

EVEN = row(0, 0, 0, 0)


def ratio(shaped: np.ndarray) -> float:
    """The ratio of the first two probabilities."""
    return float(shaped[0] - shaped[1])


def test_edt_follows_the_entropy():
    assert edt_temperature(EVEN, 1.0, 0.8, 1.0) == pytest.approx(0.8 ** (1 / math.log(4)), rel=1e-6)
    assert edt_temperature(EVEN, 2.0, 0.8, 0.0) == 2.0
    assert edt_temperature(row(3, -INF), 1.0, 0.8, 1.0) == 0.0
    surer = [edt_temperature(of_probabilities(p, 1 - p), 1.0, 0.8, 1.0) for p in (0.5, 0.7, 0.9, 0.99)]
    assert surer == sorted(surer, reverse=True)


def test_edt_in_the_chain():
    logits = of_probabilities(0.75, 0.25)
    nats = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    shaped = build_chooser(SamplingParams("edt", temperature=1.5, seed=0)).shape(logits)
    assert ratio(shaped) == pytest.approx(math.log(3) / (1.5 * 0.8 ** (1 / nats)), rel=1e-5)


def test_adapt_is_warm_at_a_line_start_and_draws_from_its_nucleus():
    assert (adapt_temperature(True, 0.8, 0.6), adapt_temperature(False, 0.8, 0.6)) == (0.8, 0.6)
    chooser = build_chooser(SamplingParams("adapt", seed=0), line_began=lambda written: list(written) == [7])
    logits = of_probabilities(0.6, 0.4)
    at_start = chooser.shape(logits, History(written=[7]))
    elsewhere = chooser.shape(logits, History(written=[8]))
    assert ratio(at_start) == pytest.approx(math.log(1.5) / 0.8, rel=1e-5)
    assert ratio(elsewhere) == pytest.approx(math.log(1.5) / 0.6, rel=1e-5)
    assert support(chooser.shape(of_probabilities(0.97, 0.03), History(written=[8]))) == {0}
    wide = build_chooser(SamplingParams("adapt", adapt_top_p=1.0, seed=0))
    assert support(wide.shape(of_probabilities(0.97, 0.03))) == {0, 1}


def test_kl_on_rows_worked_by_hand():
    p, q = of_probabilities(0.5, 0.5), of_probabilities(0.25, 0.75)
    expected = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert kl_divergence(p, q) == pytest.approx(expected, rel=1e-6)
    assert kl_divergence(p, p) == 0.0
    assert kl_divergence(p, row(0, -INF)) == INF
    assert kl_divergence(row(0, -INF), p) == pytest.approx(math.log(2))
    assert kl_temperature(0.0, 1.5, 1.0) == 1.5
    assert kl_temperature(2.0, 1.0, 1.0) == 0.25
    assert kl_temperature(2.0, 1.0, 2.0) == 0.5


def test_kl_in_the_chain():
    logits = of_probabilities(0.5, 0.25, 0.25)
    other = of_probabilities(0.25, 0.5, 0.25)
    divergence = 0.25 * math.log(2)
    chooser = build_chooser(SamplingParams("kl", temperature=2.0, seed=0), reference=lambda history: other)
    assert ratio(chooser.shape(logits)) == pytest.approx(math.log(2) / (2 * 0.5**divergence), rel=1e-5)
    alone = build_chooser(SamplingParams("kl", temperature=2.0, seed=0))
    assert ratio(alone.shape(logits)) == pytest.approx(math.log(2) / 2, rel=1e-5)
    ruled_out = build_chooser(SamplingParams("kl", seed=0), reference=lambda history: row(-INF, 0, 0))
    assert support(ruled_out.shape(logits)) == {0}


def test_varentropy_on_rows_worked_by_hand():
    assert entropy_and_varentropy_bits(EVEN) == pytest.approx((2.0, 0.0), abs=1e-6)
    # Surprises of 1 and 3 (twice... of a half and four eighths): mean 2, every one 1 away.
    bits = entropy_and_varentropy_bits(of_probabilities(0.5, 0.125, 0.125, 0.125, 0.125))
    assert bits == pytest.approx((2.0, 1.0), abs=1e-5)


@pytest.mark.parametrize(
    ("logits", "verdict"),
    [
        (of_probabilities(0.99, 0.01), "argmax"),
        (EVEN, "hotter"),
        (of_probabilities(0.5, 0.125, 0.125, 0.125, 0.125), "hotter-narrower"),
        (of_probabilities(0.9, *[0.1 / 16] * 16), "branch"),
    ],
)
def test_the_gate_has_four_quadrants(logits, verdict):
    assert gate(logits, 1.5, 0.5) == verdict


def test_the_gate_in_the_chain():
    chooser = build_chooser(
        SamplingParams(
            "entropy-gate",
            gate_entropy_bits=1.5,
            gate_varentropy_bits=0.5,
            gate_temperature=2.0,
            gate_top_p=0.7,
            seed=0,
        )
    )
    assert support(chooser.shape(of_probabilities(0.99, 0.01))) == {0}
    assert ratio(chooser.shape(row(0.1, 0, 0, 0))) == pytest.approx(0.05, rel=1e-4)
    narrow = chooser.shape(of_probabilities(0.5, 0.125, 0.125, 0.125, 0.0625, 0.0625))
    assert len(support(narrow)) < 6
    as_it_is = chooser.shape(of_probabilities(0.9, *[0.1 / 16] * 16))
    assert ratio(as_it_is) == pytest.approx(math.log(0.9 * 160), rel=1e-4)


@pytest.mark.parametrize(("second", "chaotic"), [(0.39, False), (0.41, True), (0.5, True)])
def test_a_chaotic_point_has_two_candidates_of_nearly_the_same_probability(second, chaotic):
    assert is_chaotic(of_probabilities(0.5, second, 0.5 - second), 0.8) is chaotic
    assert not is_chaotic(row(3), 0.8)


def test_the_gap_of_the_two_best():
    assert top_two_gap(of_probabilities(0.2, 0.7, 0.1)) == pytest.approx(0.5, rel=1e-5)
    assert top_two_gap(row(2, 2, -INF)) == 0.0
    assert top_two_gap(row(-INF, 2)) == 1.0


@given(rows, st.one_of(st.just(0.0), st.floats(0, 1e-300), st.floats(1e-40, 100)))
def test_no_temperature_makes_a_row_that_cannot_be_drawn_from(logits, value):
    shaped = dynamic(logits, value)
    assert not np.isnan(shaped).any()
    assert int(np.argmax(logits)) in support(shaped) <= support(logits)
