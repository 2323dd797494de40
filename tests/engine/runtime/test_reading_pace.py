"""How many tokens the next pass of a prefill has."""

import math

from engine.runtime.reading_pace import LEAST_CHUNK, PASS_S, ReadingPace


def test_nothing_is_known_before_the_first_pass():
    assert ReadingPace(64, 64).tokens_per_s == math.inf


def test_a_pass_that_is_broken_off_again_and_again_becomes_short_enough_to_end():
    pace, token_s = ReadingPace(64, 64), 0.01
    for _ in range(10):
        patience_s = 0.2  # then the next key comes
        if pace.chunk * token_s <= patience_s:
            break
        pace.learn_of_broken(pace.chunk, patience_s)
    assert LEAST_CHUNK <= pace.chunk <= 16
    assert pace.tokens_per_s == math.inf, "a pass without an end says nothing of the speed"


def test_one_that_is_broken_off_soon_or_was_short_anyway_changes_nothing():
    pace = ReadingPace(64, 64)
    pace.learn_of_broken(64, PASS_S / 2)
    pace.learn_of_broken(8, 10 * PASS_S)
    assert pace.chunk == 64


def test_passes_get_longer_again():
    pace = ReadingPace(64, 8)
    for _ in range(3):
        pace.learn(pace.chunk, PASS_S / 4)
    assert pace.chunk == 64


def test_the_first_pass_is_as_long_as_what_was_measured_allows():
    for token_s, chunk in ((0.0, 64), (0.0001, 64), (0.001, 32), (0.01, LEAST_CHUNK), (1.0, LEAST_CHUNK)):
        pace = ReadingPace(64, 64, token_s)
        pace.settle()
        assert pace.chunk == chunk
