"""What a request may cost and how it stops: budgets, cancellation, reuse; streams and candidates."""

import dataclasses
from itertools import pairwise
from types import SimpleNamespace

import pytest

from engine import completer as completer_module
from engine.completer import Completer
from engine.config import HEALING_MODES, HealingParams, SamplingParams, StopParams
from engine.errors import Cancelled, DeviceError
from engine.healing import first_step as first_step_module
from engine.runtime import checkpoint as checkpoint_module
from engine.runtime.token_cache import PREFILL_CHUNK
from engine.types import CancellationToken, CompletionRequest, CompletionResult
from tests.fakes import (
    FakeSession,
    control_ids,
    endless_completer,
    fake_completer,
    hash_model,
    scripted_model,
    toy_fim,
    toy_tokenizer,
)

TOKENIZER = toy_tokenizer("byte-level")
LONG = "self.name = 12345\n" * 80


def request(prefix: str = "import nump", suffix: str = "", *, tokens: int = 12, **fields) -> CompletionRequest:
    stop = fields.pop("stop", StopParams(max_new_tokens=tokens))
    return CompletionRequest(prefix, suffix, stop=stop, **fields)


def texts(result: CompletionResult) -> list[str]:
    return [completion.text for completion in result.completions]


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> tuple[Completer, FakeSession]:
    """A completer for which time passes only while the model runs: 10 ms a call."""
    completer, session = endless_completer(context_length=1024)
    now = [100.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    for module in (completer_module, checkpoint_module, first_step_module):
        monkeypatch.setattr(module, "time", clock)
    session.seconds_per_call, session.sleep = 0.01, pass_time
    return completer, session


def test_when_the_budget_runs_out_what_was_written_by_then_is_returned(clocked):
    completer, session = clocked
    (completion,) = completer.complete(request(budget_ms=55, healing=HealingParams("off"))).completions
    # One call for the prompt, five for tokens, and no sixth: the first token needs no call of its own.
    assert (session.calls, completion.tokens, completion.stop) == (6, 6, "budget")
    full, _ = endless_completer(context_length=1024)
    (whole,) = full.complete(request(healing=HealingParams("off"))).completions
    assert whole.stop == "length"
    assert completion.text
    assert whole.text.startswith(completion.text)


def test_a_budget_that_runs_out_in_the_prefill_completes_nothing(clocked):
    completer, session = clocked
    assert completer.complete(request(LONG, budget_ms=15)).completions == ()
    assert session.calls == 2
    assert list(completer.stream(request(LONG, budget_ms=5))) == []
    # What was read until then is kept.
    again = completer.complete(request(LONG))
    assert again.reused_tokens == 3 * PREFILL_CHUNK
    assert again.completions


def test_the_timing_adds_up(clocked):
    completer, session = clocked
    timing = completer.complete(request(LONG)).timing
    assert timing.prefill_ms + timing.decode_ms == pytest.approx(10 * session.calls)
    assert timing.total_ms == pytest.approx(10 * session.calls)
    assert timing.decode_ms == pytest.approx(10 * 11)


# --- cancellation and failure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("mode", HEALING_MODES)
def test_cancelling_stops_within_one_call_and_the_next_request_is_as_if_nothing_was(call, mode):
    completer, session = endless_completer()
    token = CancellationToken()
    session.cancel_at = (call, token)
    asked = request(healing=HealingParams(mode))
    with pytest.raises(Cancelled):
        completer.complete(asked, token)
    assert session.calls == call
    expected, _ = endless_completer()
    assert texts(completer.complete(asked)) == texts(expected.complete(asked)) != []


def test_cancelling_breaks_off_a_pass_of_the_prefill_and_what_was_read_before_it_is_kept():
    completer, session = endless_completer(context_length=1024)
    token = CancellationToken()
    session.cancel_at = (2, token)
    with pytest.raises(Cancelled):
        completer.complete(request(LONG), token)
    assert (session.calls, session.tokens) == (2, 2 * PREFILL_CHUNK)
    session.reset_counts()
    result = completer.complete(request(LONG))
    assert result.reused_tokens == PREFILL_CHUNK
    expected, _ = endless_completer(context_length=1024)
    assert texts(result) == texts(expected.complete(request(LONG)))


def test_a_request_that_nobody_waits_for_never_reaches_the_model():
    completer, session = endless_completer()
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        completer.complete(request(), token)
    with pytest.raises(Cancelled):
        list(completer.stream(request(), token))
    assert session.calls == 0


def test_cancelling_a_stream_stops_it_within_one_call():
    completer, session = endless_completer()
    token = CancellationToken()
    pieces = completer.stream(request("x = 1 + "), token)
    next(pieces)
    calls = session.calls
    token.cancel()
    with pytest.raises(Cancelled):
        next(pieces)
    assert session.calls == calls
    assert texts(completer.complete(request()))


def test_a_closed_stream_lets_the_next_request_in():
    completer, _ = endless_completer()
    pieces = completer.stream(request())
    next(pieces)
    pieces.close()
    assert texts(completer.complete(request()))


@pytest.mark.parametrize("call", [1, 2, 4])
def test_after_a_device_error_the_next_request_works(call):
    completer, session = endless_completer()
    session.fail_at = call
    with pytest.raises(DeviceError):
        completer.complete(request())
    session.fail_at = None
    expected, _ = endless_completer()
    assert texts(completer.complete(request())) == texts(expected.complete(request()))


# --- streams, seeds, candidates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", HEALING_MODES)
@pytest.mark.parametrize("lines", ["single", "multi"])
@pytest.mark.parametrize("toy", ["byte-level", "superword", "sentencepiece"])
def test_the_pieces_of_a_stream_are_the_completion(toy, lines, mode):
    tokenizer = toy_tokenizer(toy)
    stop = StopParams(max_new_tokens=16, lines=lines, stop_strings=("re", "()", "a\n"))
    lengths = set()
    for seed in range(12):
        # Any bytes: invalid ones, line breaks, control tokens.
        model = hash_model(tokenizer.vocabulary.size, salt=seed, scale=3.0)
        completer, _ = fake_completer(tokenizer, model, fim=toy_fim(tokenizer) if seed % 2 else None)
        sampling = SamplingParams("sample", seed=seed) if seed % 3 else SamplingParams()
        asked = CompletionRequest(
            "def f(self):\n    ret", ")\n\nx", healing=HealingParams(mode), sampling=sampling, stop=stop
        )
        pieces = list(completer.stream(asked))
        assert all(pieces)
        assert "".join(pieces) == "".join(texts(completer.complete(asked)))
        heard: list[str] = []
        assert texts(completer.complete(asked, None, heard.append)) == texts(completer.complete(asked))
        whole = "".join(pieces)
        assert all(text.startswith(whole) or whole.startswith(text) for text in heard)
        assert all(new.startswith(old) or old.startswith(new) for old, new in pairwise(heard))
        lengths.add(len(pieces))
    assert max(lengths) > 1


def test_a_stream_sends_nothing_that_the_document_holds_already():
    end = control_ids(TOKENIZER)[0]
    completer, _ = fake_completer(TOKENIZER, scripted_model(TOKENIZER, "f(12)", end=end))
    assert "".join(completer.stream(request("f(", ")\n"))) == "12"
    # The same bracket in the middle of the text is sent as soon as something else follows it.
    completer, _ = fake_completer(TOKENIZER, scripted_model(TOKENIZER, "f(12)+name", end=end))
    assert "".join(completer.stream(request("f(", ")\n"))) == "12)+name"


def test_a_stream_yields_as_it_goes():
    completer, session = endless_completer()
    pieces = completer.stream(request("x = 1 + "))
    next(pieces)
    calls = session.calls
    next(pieces)
    assert calls < session.calls < calls + 5


def test_of_several_candidates_nothing_is_heard_before_the_end():
    completer, _ = endless_completer()
    heard: list[str] = []
    for asked in (request(max_completions=2), request(sampling=SamplingParams("beam"))):
        assert texts(completer.complete(asked, None, heard.append)) == texts(completer.complete(asked))
    assert heard == []


@pytest.mark.parametrize("mode", HEALING_MODES)
def test_the_same_seed_gives_the_same_text_and_others_differ(mode):
    def written(seed: int | None, completer: Completer) -> list[str]:
        sampling = SamplingParams("sample", temperature=2.0, seed=seed)
        return texts(completer.complete(request(healing=HealingParams(mode), sampling=sampling, max_completions=2)))

    # Another instance or an earlier request makes no difference.
    first, second = endless_completer()[0], endless_completer()[0]
    second.complete(request("something else"))
    assert written(5, first) == written(5, second) == written(5, second)
    assert len({tuple(written(seed, first)) for seed in range(6)}) > 3
    assert written(None, first) != written(None, first)


@pytest.mark.parametrize("mode", HEALING_MODES)
@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams("sample", seed=3)], ids=["greedy", "sample"])
@pytest.mark.parametrize("count", [2, 5])
def test_candidates_are_distinct_and_the_best_is_the_one_that_would_be_alone(count, sampling, mode):
    completer, _ = endless_completer()
    asked = request("x = r", healing=HealingParams(mode), sampling=sampling)
    several = completer.complete(dataclasses.replace(asked, max_completions=count))
    assert len(set(texts(several))) == len(several.completions) == count
    # Also when it draws: the first candidate has a stream of its own, and none of these covers is drawn again.
    assert texts(several)[:1] == texts(completer.complete(asked))


def test_candidates_that_say_the_same_are_shown_once():
    end = control_ids(TOKENIZER)[0]
    completer, _ = fake_completer(TOKENIZER, scripted_model(TOKENIZER, "http://x", end=end))
    asked = request("http:", healing=HealingParams("k-step"), max_completions=5, stop=StopParams(max_new_tokens=2))
    found = texts(completer.complete(asked))
    assert found[0] == "//x"
    assert len(found) == len(set(found)) <= 2


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", HEALING_MODES)
def test_typing_on_reuses_the_prompt(mode):
    completer, session = endless_completer(context_length=1024)
    prefix = LONG[:600]
    asked = request(prefix + "\nself.na", healing=HealingParams(mode), tokens=4)
    first = completer.complete(asked)
    assert first.reused_tokens == 0
    session.reset_counts()
    second = completer.complete(dataclasses.replace(asked, prefix=asked.prefix + "m"))
    # Of more than a hundred tokens only the current line is read again.
    assert second.prompt_tokens > 150
    assert second.reused_tokens >= second.prompt_tokens - 8
    assert session.tokens <= 8 + 4 + 4


@pytest.mark.parametrize("mode", HEALING_MODES)
def test_asking_again_reads_no_prompt(mode):
    completer, session = endless_completer()
    asked = request(healing=HealingParams(mode))
    first = completer.complete(asked)
    session.reset_counts()
    assert texts(completer.complete(asked)) == texts(first)
    # Eleven tokens after the first one. A branch off the path may need a short pass of its own.
    assert session.tokens <= 11 + (4 if mode == "exact" else 1)


def test_a_window_that_moves_costs_one_prefill_for_many_keystrokes():
    completer, session = endless_completer(context_length=128)
    text = "self.name = 12345\nreturn self\n" * 40
    read = []
    for end in range(600, 900):
        session.reset_counts()
        completer.complete(request(text[:end], tokens=1, healing=HealingParams("off")))
        read.append(session.tokens)
    full_prefills = sum(tokens > 60 for tokens in read)
    assert 1 < full_prefills <= 300 // 20
    assert sorted(read)[150] <= 12


def test_a_trace_takes_the_time_that_it_needs():
    completer, _ = fake_completer(toy_tokenizer("byte-level"))
    trace = completer.trace(CompletionRequest("import nump", budget_ms=1e-9))
    assert trace.covers == completer.trace(CompletionRequest("import nump")).covers != ()
