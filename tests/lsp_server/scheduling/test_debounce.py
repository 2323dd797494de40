"""Whether and how long a request waits before it goes to the model."""

import pytest

from lsp_server.scheduling.debounce import KEY_REPEAT_MS, MEDIAN_OF, Debounce


def paced(*took_ms: float) -> Debounce:
    pace = Debounce()
    for took in took_ms:
        pace.answered(took)
    return pace


def delays(pace: Debounce, *at_ms: float, longest_ms: float = 1000.0) -> list[object]:
    return [pytest.approx(pace.delay_ms(at / 1000, longest_ms)) for at in at_ms]


def test_the_first_request_and_one_after_a_pause_never_wait():
    assert delays(paced(100.0), 0, 150, 5000) == [0, 0, 0]


def test_on_the_heels_of_another_one_it_waits_as_long_as_the_model_takes():
    assert delays(paced(100.0), 0, 60, 120, 180) == [0, 100, 100, 100]
    assert delays(paced(300.0), 0, 150) == [0, 300]


def test_a_held_down_key_waits_for_a_quick_model_too():
    assert delays(paced(5.0), 0, 33, 66) == [0, KEY_REPEAT_MS, KEY_REPEAT_MS]
    assert delays(paced(), 0, 33, 100) == [0, KEY_REPEAT_MS, 0]


def test_the_setting_is_the_longest_wait():
    assert delays(paced(300.0), 0, 40, longest_ms=50.0) == [0, 50]
    assert delays(paced(300.0), 0, 150, longest_ms=0.0) == [0, 0]


def test_nothing_waits_that_comes_later_than_the_longest_wait():
    assert delays(paced(300.0), 0, 150, 230, longest_ms=50.0) == [0, 0, 0]


def test_the_median_of_the_last_calls_counts():
    assert delays(paced(100.0, 100.0, 9000.0), 0, 90) == [0, 100]
    assert delays(paced(*[9000.0] * 50, *[100.0] * MEDIAN_OF), 0, 90) == [0, 100]
