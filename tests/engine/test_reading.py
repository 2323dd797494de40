"""Reading within a time limit, and reading ahead: how much context a prompt has, and what the next request finds."""

import math
import time

import pytest

from engine.config import StopParams
from engine.errors import Cancelled
from engine.reading import LEAST_READ
from engine.runtime.checkpoint import Resting
from engine.types import CancellationToken, CompletionRequest
from tests.fakes import endless_completer, toy_fim, toy_tokenizer

ABOVE = "".join(f"value_{line} = {line}\n" for line in range(60))
BELOW = "\n" + "".join(f"other_{line} = {line}\n" for line in range(20))
STOP = StopParams(max_new_tokens=4)
FIM = toy_fim(toy_tokenizer("byte-level"))


def asked(reading_ms: float | None = None, line: str = "x = va") -> CompletionRequest:
    return CompletionRequest(ABOVE + line, BELOW, stop=STOP, reading_ms=reading_ms)


@pytest.mark.parametrize("fim", [None, FIM])
def test_a_request_has_the_context_that_can_be_read_in_its_time(fim):
    completer, _ = endless_completer(context_length=2048, fim=fim)
    completer._cache._pace.token_s = 0.001
    whole = completer.complete(asked())
    assert not whole.is_partial
    for reading_ms, most in ((200.0, 200), (0.0, LEAST_READ)):
        completer, session = endless_completer(context_length=2048, fim=fim)
        completer._cache._pace.token_s = 0.001
        part = completer.complete(asked(reading_ms))
        assert part.is_partial
        assert part.prompt_tokens <= most
        assert session.tokens <= most + 8


@pytest.mark.parametrize("fim", [None, FIM])
def test_the_part_that_is_read_keeps_its_start_while_somebody_types(fim):
    completer, session = endless_completer(context_length=2048, fim=fim)
    completer.keep_places(1 << 20)
    typed, many = "x = value_1 + value_2 + other_3 * (value_4 - 17) % value_5", []
    for end in range(1, len(typed)):
        completer._cache._pace.token_s = 0.1  # there is no time for the whole document
        session.reset_counts()
        assert completer.complete(asked(0.0, typed[:end])).is_partial
        many.append(session.tokens)
    # The first is read, and again a line as long as the window. Otherwise a key costs its own tokens.
    assert sum(tokens > 16 for tokens in many) <= 2


def test_what_was_read_ahead_needs_no_time_and_the_answer_is_that_of_everything():
    completer, session = endless_completer(context_length=2048, fim=FIM)
    expected = completer.complete(asked()).completions
    completer, session = endless_completer(context_length=2048, fim=FIM)
    completer._cache._pace.token_s = 0.001
    completer.read(asked(), CancellationToken())
    read = session.tokens
    completer._cache._pace.token_s = 0.001
    result = completer.complete(asked(100.0))
    assert not result.is_partial
    assert result.completions == expected
    assert session.tokens - read <= 16


def test_reading_that_is_called_off_keeps_what_it_has_read_and_the_next_goes_on_there():
    completer, session = endless_completer(context_length=2048, fim=FIM)
    token = CancellationToken()
    session.cancel_at = (3, token)
    with pytest.raises(Cancelled):
        completer.read(asked(), token)
    read, session.cancel_at = session.tokens, None
    assert read > 0
    completer.read(asked(), CancellationToken())
    assert session.tokens <= len(completer._reader.prompts.build(asked()).ids) + 64  # the pass that was stopped


def test_with_nothing_measured_everything_is_read():
    completer, _ = endless_completer(context_length=2048)
    assert completer._cache.tokens_per_s == math.inf
    assert not completer.complete(asked(0.001)).is_partial


def test_reading_rests_as_long_as_it_is_told_and_stops_resting_when_it_is_called_off(monkeypatch):
    token, rests, now = CancellationToken(), [], [0.0]
    monkeypatch.setattr("engine.runtime.checkpoint.time.monotonic", lambda: now[0])
    monkeypatch.setattr(CancellationToken, "wait", lambda self, seconds: rests.append(seconds))
    checkpoint = Resting(token, 3.0)
    for _ in range(3):
        checkpoint()
        now[0] += 0.5
    assert rests == [0.0, 1.5, 1.5]
    token.cancel()
    with pytest.raises(Cancelled):
        checkpoint()


def test_measuring_leaves_nothing_behind():
    completer, session = endless_completer(context_length=2048)
    completer._cache._clock = time.perf_counter
    completer._cache.measure(0)
    assert 0 < completer._cache.tokens_per_s < math.inf
    session.reset_counts()
    assert completer.complete(asked()).reused_tokens == 0
