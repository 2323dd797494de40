import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.statistics import MEDIAN_OF, RECENT_ANSWERS, Statistics, percentile


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values, share):
    found = percentile(values, share)
    assert found is not None
    assert sum(value <= found for value in values) >= share * len(values)
    below = [value for value in values if value < found]
    assert not below or len(below) < share * len(values)


def test_of_nothing_there_is_no_percentile():
    assert percentile([], 0.5) is None
    assert Statistics().median_ms is None
    told = Statistics().to_json()
    assert told["shareWithoutModel"] is None
    assert told["latencyMs"] == {"p50": None, "p90": None, "p95": None, "p99": None}


def test_the_share_is_of_what_was_answered():
    figures = Statistics()
    figures.answered(1.0, "memory")
    figures.answered(30.0, "model")
    figures.answered(20.0, "running")
    told = figures.to_json()
    assert told["shareWithoutModel"] == pytest.approx(1 / 3, abs=1e-4)
    assert [told[f"answered{name}"] for name in ("ByModel", "ByRunning", "WithoutModel")] == [1, 1, 1]
    assert told["latencyMs"] == {"p50": 20.0, "p90": 30.0, "p95": 30.0, "p99": 30.0}


def test_the_median_follows_the_last_answers_and_memory_is_bounded():
    figures = Statistics()
    for _ in range(RECENT_ANSWERS):
        figures.answered(10.0, "model")
    for _ in range(MEDIAN_OF):
        figures.answered(90.0, "model")
    assert figures.median_ms == 90.0
    assert len(figures.latencies_ms) == RECENT_ANSWERS


def test_processor_time_is_told_by_the_minute_of_typing():
    figures = Statistics()
    assert figures.to_json()["processorSecondsPerMinuteOfTyping"] is None
    used = time.process_time()
    figures.asked(100.0, used - 2.0)
    figures.asked(101.0, used)
    figures.asked(901.0, used)  # a pause
    told = figures.to_json()
    assert told["typingSeconds"] == 6
    assert told["processorSeconds"] == pytest.approx(2.0, abs=0.5)
    assert told["processorSecondsPerMinuteOfTyping"] == pytest.approx(20.0, abs=5.0)
    assert told["requests"] == 3
