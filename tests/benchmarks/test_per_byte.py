"""The loss and the gain per byte of the token typed, of results whose numbers are known."""

import numpy as np
import pytest

from benchmarks import per_byte
from benchmarks.baselines import Result
from lsp_server.commands.evaluation import Case


def results_of(places: list[tuple[int, bool, bool]]) -> tuple[list[Case], dict[tuple[str, str], Result]]:
    """Cases ``x = sp|am`` with the bytes typed, and whether the cut and the healed prompt complete them."""
    cases = [Case(str(number), "x = sp", "", "am") for number in range(len(places))]
    results = {}
    for case, (typed, cut, healed) in zip(cases, places, strict=True):
        for mode, right in (("native", cut), ("exact", healed)):
            results[case.id, mode] = Result(case.id, mode, "am" if right else "an", typed, 0.0)
    return cases, results


def test_a_loss_that_grows_with_each_byte_has_that_slope():
    """Of eight places a byte, ``b`` are lost, and half of these come back: 12.5 and 6.25 points a byte."""
    places = [(b, number >= b, number >= b or number % 2 == 0) for b in (2, 4, 6) for number in range(8)]
    found = per_byte.per_byte(*results_of(places))
    assert found is not None
    assert (found.places, found.typed) == (24, 4.0)
    assert found.lost.mean == pytest.approx(50.0)
    assert found.gained.mean == pytest.approx(25.0)
    assert found.returned.mean == pytest.approx(50.0)
    assert found.lost_a_byte.mean == pytest.approx(12.5)
    assert found.gained_a_byte.mean == pytest.approx(6.25)
    assert 0 < found.lost_a_byte.low < 12.5 < found.lost_a_byte.high


def test_a_loss_that_one_byte_makes_whole_has_no_slope():
    found = per_byte.per_byte(*results_of([(b, False, True) for b in (1, 2, 3, 9)]))
    assert found is not None
    assert found.row("small", "any") == (
        "| small | any | 4 | 3.8 | 100 % [100, 100] | 100 % [100, 100] | 100 % [100, 100] "
        "| +0.0 [+0.0, +0.0] | +0.0 [+0.0, +0.0] |"
    )


def test_lost_and_gained_of_a_place_are_drawn_together():
    """Where all that is lost comes back, every draw says so."""
    generator = np.random.default_rng(3)
    lost = (generator.random(40) < 0.3).astype(np.float64)
    found = per_byte.estimates(generator.integers(1, 9, 40).astype(np.float64), lost, lost)
    assert (found.returned.low, found.returned.mean, found.returned.high) == pytest.approx((100.0, 100.0, 100.0))
    assert found.lost == found.gained
    assert found.lost_a_byte == found.gained_a_byte
    assert found.lost.low < found.lost.mean < found.lost.high


def test_boundaries_do_not_count_and_equal_bytes_have_no_slope():
    assert per_byte.per_byte(*results_of([(0, False, True)])) is None
    found = per_byte.per_byte(*results_of([(0, False, True), (2, True, True), (2, True, False)]))
    assert found is not None
    assert found.places == 2
    assert (found.lost.mean, found.gained.mean, found.returned.mean) == (0.0, -50.0, 0.0)
    assert found.gained_a_byte.mean == 0.0
