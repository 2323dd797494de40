"""What is learned from past drafts, and how long the next draft should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drafting.draft import Acceptance, PassCost, best_length

shares_lists = st.lists(st.floats(0, 1), max_size=12)


def cost_of(extra: float) -> PassCost:
    cost = PassCost()
    for _ in range(200):
        cost.note(0, 1.0)
        cost.note(3, 1.0 + 3 * extra)
    return cost


def promised(shares: list[float], count: int, extra: float) -> float:
    """Expected tokens of a pass divided by its time, summed over the position of the first wrong token."""
    expected = 0.0
    for right in range(count + 1):
        chance = 1.0
        for share in shares[:right]:
            chance *= share
        chance *= 1.0 - shares[right] if right < count else 1.0
        expected += chance * (right + 1)
    return expected / (1.0 + count * extra)


@given(shares_lists, st.floats(0, 1.5))
def test_the_length_is_the_one_that_promises_most(shares, extra):
    cost = cost_of(extra)
    count, gain = best_length(shares, cost)
    learned = cost.ratio(1) - 1.0
    assert gain == pytest.approx(promised(shares, count, learned))
    assert gain >= max(promised(shares, other, learned) for other in range(len(shares) + 1)) - 1e-9


def test_a_sure_draft_is_long_and_an_unsure_one_is_none():
    cost = cost_of(0.2)
    length, gain = best_length([0.95] * 8, cost)
    assert length == 8
    assert gain == pytest.approx(sum(0.95**n for n in range(9)) / 2.6, rel=0.01)
    assert best_length([0.1] * 8, cost) == (0, 1.0)
    assert best_length([], cost) == (0, 1.0)


def test_where_a_row_costs_a_pass_there_is_nothing_to_gain():
    assert best_length([0.99] * 8, cost_of(1.0)) == (0, 1.0)


@given(st.floats(0, 1))
def test_the_cost_of_a_row_is_found(extra):
    assert cost_of(extra).ratio(5) == pytest.approx(1 + 5 * extra, abs=0.01)


def test_a_machine_that_gets_slower_does_not_make_rows_dear():
    cost = cost_of(0.2)
    for _ in range(100):
        cost.note(0, 8.0)
        cost.note(2, 8.0 * 1.4)
    assert cost.ratio(1) == pytest.approx(1.2, abs=0.02)


def test_a_single_pass_that_was_held_up_counts_little():
    cost = cost_of(0.2)
    cost.note(0, 1000.0)
    assert cost.single_s < 1.5


def test_acceptance_follows_what_is_seen_by_grade():
    acceptance = Acceptance([0.5, 0.5])
    for number in range(400):
        acceptance.note(0, right=number % 10 != 0)
    assert acceptance.share(0) == pytest.approx(0.9, abs=0.08)
    assert acceptance.share(1) == 0.5
