"""Drafts in whole requests: they never change a completion; cancellation and time; the counters."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.completer import Completer
from engine.config import DRAWS, SamplingParams, StopParams
from engine.errors import Cancelled, DeviceError, RequestError
from engine.types import CancellationToken, CompletionRequest, DraftCounts
from tests.fakes import FakeSession, LogitsOf, fake_completer, hash_model, readable, toy_tokenizer, without
from tests.strategies import drawing_params

TOKENIZER = toy_tokenizer("byte-level")
TEXT = "import numpy as np\nself.name = self.port\n" * 3
COPYING = (0.3, 0.5, 0.7)


def repetitive(salt: int = 0) -> LogitsOf:
    """Readable text that soon repeats, because the next token depends on the last one only."""
    size = TOKENIZER.vocabulary.size
    return without(hash_model(size, order=1, salt=salt, scale=4.0), set(range(size)) - set(readable(TOKENIZER)))


def completer_of(salt: int = 0, copying: tuple[float, ...] = ()) -> tuple[Completer, FakeSession]:
    completer, session = fake_completer(TOKENIZER, repetitive(salt), copying=copying)
    completer._drafters._experience.cost._extra = 0.05
    return completer, session


def asked(**changes: Any) -> CompletionRequest:
    request = CompletionRequest(
        TEXT + "import nu", speculation="auto", stop=StopParams(max_new_tokens=40, lines="multi")
    )
    return replace(request, **changes)


@settings(max_examples=60)
@given(
    st.integers(0, 50),
    drawing_params(),
    st.sampled_from([(), COPYING]),
    st.sampled_from([(), ("s",), ("ort\n", "self")]),
    st.sampled_from(["single", "multi"]),
    st.sampled_from([0.0, 1e-6, 0.3]),
)
def test_no_completion_changes(salt, params, copying, stops, lines, least):
    stop = StopParams(max_new_tokens=30, lines=lines, stop_strings=stops, min_confidence=least)
    request = asked(sampling=params, stop=stop)
    completer, _ = completer_of(salt, copying)
    plain, _ = completer_of(salt, copying)
    for typed in ("import nu", "import num", "self.na"):
        request = replace(request, prefix=TEXT + typed)
        expected = plain.complete(replace(request, speculation="off"))
        assert completer.complete(request).completions == expected.completions
        assert expected.drafts == DraftCounts()


@pytest.mark.parametrize("strategy", ["sed", "beam", "best-first", "branch", "kl", "entropy-gate"])
def test_what_follows_several_sequences_drafts_nothing(strategy):
    request = asked(sampling=SamplingParams(strategy, seed=3))
    completer, session = completer_of()
    result = completer.complete(request)
    plain, plain_session = completer_of()
    assert result.completions == plain.complete(replace(request, speculation="off")).completions
    assert result.drafts == DraftCounts()
    assert session.calls == plain_session.calls


def test_a_repeating_completion_takes_fewer_passes_and_tells_what_was_drafted():
    completer, session = completer_of()
    plain, plain_session = completer_of()
    result = completer.complete(asked())
    plain.complete(asked(speculation="off"))
    assert session.calls < 0.7 * plain_session.calls
    assert result.drafts.lookup_drafted >= result.drafts.lookup_accepted > 10


def test_several_candidates_draft_nothing():
    completer, _ = completer_of()
    assert completer.complete(asked(max_completions=3)).drafts == DraftCounts()


def test_a_stream_is_the_same_text():
    completer, session = completer_of()
    plain, plain_session = completer_of()
    assert "".join(completer.stream(asked())) == "".join(plain.stream(asked(speculation="off")))
    assert session.calls < plain_session.calls


def test_a_cancellation_in_any_pass_ends_the_completion_and_spoils_nothing():
    plain, _ = completer_of()
    expected = plain.complete(asked(speculation="off")).completions
    completer, session = completer_of()
    completer.complete(asked())
    passes = session.calls
    assert passes > 3
    for call in range(1, passes + 1):
        completer, session = completer_of()
        cancel = CancellationToken()
        session.cancel_at = (call, cancel)
        with pytest.raises(Cancelled):
            completer.complete(asked(), cancel)
        session.cancel_at = None
        assert session.calls == call
        assert completer.complete(asked()).completions == expected


def test_a_device_that_fails_in_any_pass_spoils_nothing():
    plain, _ = completer_of()
    expected = plain.complete(asked(speculation="off")).completions
    for call in range(1, 8):
        completer, session = completer_of()
        session.fail_at = call
        with pytest.raises(DeviceError):
            completer.complete(asked())
        assert completer.complete(asked()).completions == expected


@pytest.mark.parametrize("lines", ["single", "multi"])
def test_no_row_is_run_that_a_completion_cannot_take(lines):
    completer, session = completer_of()
    for length in range(1, 12):
        stop = StopParams(max_new_tokens=length, lines=lines)
        session.reset_counts()
        completer.complete(asked(stop=stop))
        longest = len(session.written)
        prompt = completer.complete(asked(stop=stop)).prompt_tokens
        assert longest <= prompt + length


@pytest.mark.parametrize("strategy", DRAWS)
def test_the_same_seed_draws_the_same(strategy):
    request = asked(sampling=SamplingParams(strategy, seed=11))
    completer, _ = completer_of(7)
    plain, _ = completer_of(7)
    assert completer.complete(request).completions == plain.complete(replace(request, speculation="off")).completions


def test_an_unknown_choice_is_refused_in_one_line():
    with pytest.raises(RequestError, match="speculation is 'always'; it must be one of auto, off"):
        CompletionRequest("x", speculation="always")  # type: ignore[arg-type]  # a client's mistake
