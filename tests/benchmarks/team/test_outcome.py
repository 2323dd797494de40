"""What the replies of many users add up to."""

import math

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.team.outcome import COLUMNS, outcome_of, quantile
from benchmarks.team.stream_client import Reply
from benchmarks.team.user import Record

SECONDS = st.lists(st.floats(0.001, 10.0), min_size=1, max_size=30)


def answer(seconds: float, text: str = "abc") -> Reply:
    usage = {"prompt_tokens": 10, "reused_tokens": 9, "is_partial": False, "in_line_ms": 2.0, "passes": 2, "rows": 6}
    usage |= {"parked": 1, "restored_tokens": 5}
    return Reply(200, "", {"completions": [{"text": text}], "usage": usage}, seconds)


@given(SECONDS, st.sampled_from([0.5, 0.9, 0.95]))
def test_without_cancellations_it_is_the_quantile(answered, share):
    found = quantile(answered, (), share)
    assert found in answered
    assert sum(seconds <= found for seconds in answered) >= share * len(answered) - 1e-6
    assert sum(seconds < found for seconds in answered) < share * len(answered) + 1e-6


@given(SECONDS, SECONDS)
def test_a_cancelled_request_never_makes_it_look_faster(answered, cancelled):
    alone, found = quantile(answered, (), 0.5), quantile(answered, cancelled, 0.5)
    assert math.isnan(found) or found >= alone


def test_the_published_example_of_the_product_limit():
    # Kaplan and Meier 1958, section 2.1: deaths at 0.8, 3.1, 5.4, 9.2, losses at 1.0, 2.7, 7.0, 12.1.
    deaths, losses = (0.8, 3.1, 5.4, 9.2), (1.0, 2.7, 7.0, 12.1)
    assert quantile(deaths, losses, 1 - 0.875) == 0.8
    assert quantile(deaths, losses, 1 - 0.70) == 3.1
    assert quantile(deaths, losses, 1 - 0.525) == 5.4
    assert quantile(deaths, losses, 1 - 0.2625) == 9.2
    assert math.isnan(quantile(deaths, losses, 0.95))


def test_sums_of_all_users():
    one = Record([answer(0.1), Reply(503, "full", {}, 0.01)], [0.05], keys=5, typed_through=2)
    other = Record([answer(0.3), Reply(0, "OSError", {}, 0.01)], [], keys=3)
    found = outcome_of([one, other], 2.0)
    assert (found.answers_a_second, found.keys, found.typed_through) == (1.0, 8, 2)
    assert (found.refused, found.failed, found.characters) == (1, 1, 6)
    assert found.restored_share == 0.5
    assert (found.cache_share, found.mean_batch, found.in_line_ms) == (0.9, 3.0, 4.0)
    assert len(found.row(2, "on")) == len(COLUMNS)


def test_nothing_was_answered():
    row = outcome_of([Record([], [0.2, 0.4], 2)], 1.0).row(1, "off")
    assert "over 400" in row
