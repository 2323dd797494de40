"""Beam search against exhaustive search and a simple reference; best-first against beam; budgets and cancellation."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import HealingParams, SamplingParams, StopParams
from engine.decoding.beam_search import BeamParams, Hypothesis, beam_search, best_first_search, expand
from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.decode import tokens_before
from engine.errors import Cancelled
from engine.healing.k_step import Cover
from engine.sampling import Chooser, History, build_chooser, log_softmax
from engine.types import CancellationToken, CompletionRequest, FloatArray, TokenIds
from tests.engine.decoders import END, PROMPT, logs, plain_covers, scene_of
from tests.fakes import fake_completer, hash_model, readable_model, toy_tokenizer

SEARCHES = [beam_search, best_first_search]


def outcome(candidates: list[Candidate]) -> list[tuple[str, str | None, int, float]]:
    return [(c.tracker.text, c.tracker.ended, len(c.tokens), round(c.logprob, 4)) for c in candidates]


def every_completion(decoder: Decoder, covers: list[Cover], model) -> list[tuple[float, TokenIds]]:
    """Score and tokens of all possible completions."""
    found: list[tuple[float, TokenIds]] = []
    open_ones: list[tuple[float, list[int], TokenIds]] = [
        (cover.logprob, tokens_before(decoder.prompt, cover).tolist(), (cover.token,)) for cover in covers
    ]
    while open_ones:
        score, before, tokens = open_ones.pop()
        if tokens[-1] == END or len(tokens) == decoder.stop.max_new_tokens:
            found.append((score, tokens))
            continue
        logprobs = log_softmax(model((*before, *tokens)))
        open_ones += [(score + float(logprobs[t]), before, (*tokens, t)) for t in range(len(logprobs))]
    return found


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("salt", range(4))
def test_with_a_beam_as_wide_as_the_tree_it_is_exhaustive_search(search, alpha, salt):
    size, length, count = 4, 4, 5
    model = hash_model(size, salt=salt, scale=1.0)
    decoder, _ = scene_of(model, size, length)
    covers = plain_covers(model)
    params = BeamParams(size**length, alpha, count)
    found = search(decoder, covers, params)
    ranked = sorted(
        every_completion(decoder, covers, model), key=lambda entry: -params.normalised(entry[0], len(entry[1]))
    )
    expected = [decoder.vocabulary.bytes_of(tokens).decode() for _, tokens in ranked[:count]]
    assert [candidate.tracker.text for candidate in found] == expected


def beam_by_hand(decoder: Decoder, covers: list[Cover], params: BeamParams, model) -> list[str]:
    """Beam search level by level, without a cache and without stopping early."""
    live: list[tuple[float, TokenIds, list[int]]] = [
        (cover.logprob, (cover.token,), tokens_before(decoder.prompt, cover).tolist()) for cover in covers
    ]
    finished: list[tuple[float, TokenIds]] = []
    while live:
        ended = [h for h in live if h[1][-1] == END or len(h[1]) == decoder.stop.max_new_tokens]
        finished += [(params.normalised(score, len(tokens)), tokens) for score, tokens, _ in ended]
        pool: list[tuple[float, TokenIds, list[int]]] = []
        for score, tokens, before in (h for h in live if h not in ended):
            for token, logprob in enumerate(log_softmax(model((*before, *tokens))).tolist()):
                pool.append((score + logprob, (*tokens, token), before))
        live = sorted(pool, key=lambda h: (-h[0], h[1]))[: params.width]
    best = sorted(finished, key=lambda f: -f[0])[: params.count]
    return [decoder.vocabulary.bytes_of(tokens).decode() for _, tokens in best]


@given(
    st.integers(2, 7), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.0, 0.6, 1.0, 3.0]),
    st.integers(0, 10**6),
)  # fmt: skip
def test_beam_and_best_first_find_what_a_plain_beam_does(size, length, width, count, alpha, salt):
    model = hash_model(size, salt=salt)
    params = BeamParams(width, alpha, min(count, width))
    results = []
    for search in SEARCHES:
        decoder, _ = scene_of(model, size, length)
        covers = plain_covers(model)[:width]
        results.append(outcome(search(decoder, covers, params)))
    assert results[0] == results[1]
    assert [text for text, *_ in results[0]] == beam_by_hand(decoder, covers, params, model)


def test_best_first_needs_no_more_forward_passes_than_beam():
    passes = []
    for search in SEARCHES:
        total = 0
        for salt in range(20):
            model = hash_model(6, salt=salt, scale=4.0)
            decoder, session = scene_of(model, 6, 8)
            search(decoder, plain_covers(model)[:4], BeamParams(4, 0.0, 1))
            total += session.calls
        passes.append(total)
    assert passes[1] <= passes[0]


def test_the_search_ends_when_nothing_alive_can_win():
    # The end is almost certain at once. Without an early stop all eight levels would be searched.
    def model(history: TokenIds) -> FloatArray:
        return np.array([9, 0, 0, 0], np.float32)

    decoder, session = scene_of(model, 4, 8)
    beam_search(decoder, plain_covers(model), BeamParams(3, 0.0, 1))
    assert session.calls == 0  # the cover alone is the winner


def test_a_longer_completion_wins_with_length_normalisation():
    def model(history: TokenIds) -> FloatArray:
        # "a" and then, almost surely, "bbb"; or the end at once, a little more probable.
        if len(history) == len(PROMPT):
            return logs(0.55, 0.45, 1e-9)
        return logs(1e-9, 1e-9, 1.0)

    texts = []
    for alpha in (0.0, 5.0):
        decoder, _ = scene_of(model, 3, 4)
        found = beam_search(decoder, plain_covers(model), BeamParams(2, alpha, 1))
        texts.append(found[0].tracker.text)
    assert texts == ["", "abbb"]


@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 1000))
def test_the_union_of_all_candidates_is_what_one_by_one_gives(size, width, salt):
    model = hash_model(size, salt=salt)
    decoder, _ = scene_of(model, size, 8)
    params = BeamParams(width, 0.0, 1)
    generator = np.random.default_rng(salt)
    cover = plain_covers(model)[0]
    beams = [Hypothesis(cover, (1, token), -float(generator.random()), 0.0) for token in range(1, size)]
    rows = decoder.rows_after([np.array([*PROMPT, *beam.tokens], np.int32) for beam in beams])
    singles = [expand(decoder, [beam], [row], params) for beam, row in zip(beams, rows, strict=True)]
    merged = sorted(itertools.chain(*singles), key=lambda hypothesis: hypothesis.order)[:width]
    assert expand(decoder, beams, rows, params) == merged


def test_the_beams_of_a_level_are_one_batch_and_with_one_slot_they_come_to_the_same():
    results, passes = [], []
    for slots in (1, 8):
        outcomes, calls = [], 0
        for salt in range(10):
            model = hash_model(6, salt=salt)
            decoder, session = scene_of(model, 6, 8, slots=slots)
            params = BeamParams(4, 0.6, 3)
            decoder.cache.row_after(decoder.prompt, lambda: None)
            outcomes.append(outcome(beam_search(decoder, plain_covers(model)[:4], params)))
            calls += session.calls
            if slots > 1:
                # One pass for the prompt, one for each level.
                assert session.calls <= 1 + decoder.stop.max_new_tokens
        results.append(outcomes)
        passes.append(calls)
    assert results[0] == results[1]
    assert passes[1] < passes[0] / 2


def test_n_gram_blocking_holds_in_every_beam():
    model = hash_model(4, order=1, scale=3.0)
    params = BeamParams(4, 0.6, 4, build_chooser(SamplingParams("beam", no_repeat_ngram=2)))
    decoder, _ = scene_of(model, 4, 8)
    for candidate in beam_search(decoder, plain_covers(model), params):
        text = "aba" + candidate.tracker.text  # the prompt, the cover's token, and what the search wrote
        pairs = list(itertools.pairwise(text))
        assert all(pair not in pairs[: 3 + number] for number, pair in enumerate(pairs[3:]))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_budget_that_runs_out_leaves_the_best_so_far(search, monkeypatch):
    def model(history: TokenIds) -> FloatArray:
        return np.array([-50, *hash_model(5, salt=3)(history)], np.float32)  # it never ends on its own

    decoder, session = scene_of(model, 6, 8, deadline=2.0)
    # A forward pass takes one second on this clock.
    monkeypatch.setattr("engine.runtime.checkpoint.time", SimpleNamespace(monotonic=lambda: float(session.calls)))
    covers = [cover for cover in plain_covers(model) if cover.token != END]
    (candidate,) = search(decoder, covers[:3], BeamParams(3, 0.6, 1))
    assert session.calls == 2
    assert candidate.tracker.ended == "budget"
    assert candidate.tracker.text


@pytest.mark.parametrize("search", SEARCHES)
def test_cancellation_is_heeded_before_the_next_forward_pass(search):
    model, cancel = hash_model(6, salt=3), CancellationToken()
    decoder, session = scene_of(model, 6, 8, cancel=cancel)
    session.cancel_at = (2, cancel)
    with pytest.raises(Cancelled):
        search(decoder, plain_covers(model)[1:4], BeamParams(3, 0.6, 1))
    assert session.calls == 2


@pytest.mark.parametrize("strategy", ["beam", "best-first"])
@pytest.mark.parametrize("mode", ["off", "k-step", "exact"])
def test_beams_begin_with_the_healed_covers(strategy, mode):
    tokenizer = toy_tokenizer("byte-level")
    completer, session = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size, salt=5))
    request = CompletionRequest(
        "import nump",
        max_completions=3,
        healing=HealingParams(mode),
        sampling=SamplingParams(strategy, beam_width=6),
        stop=StopParams(max_new_tokens=4),
    )
    texts = [completion.text for completion in completer.complete(request).completions]
    assert 1 <= len(set(texts)) == len(texts) <= 3
    assert "".join(completer.stream(request)) == texts[0]
    # Exact after the typed bytes: the model reads the typed text whatever the first token is.
    tokenizer_bytes = tokenizer.vocabulary.bytes_of
    assert tokenizer_bytes(session.written).startswith(b"import nump")


@pytest.mark.parametrize("confidence", [0.0, 1e-9, 1e-4, 0.02])
def test_a_beam_of_one_is_greedy(confidence):
    tokenizer = toy_tokenizer("byte-level")
    stop = StopParams(max_new_tokens=6, min_confidence=confidence)
    reasons = set()
    for salt in range(8):
        completer, _ = fake_completer(tokenizer, readable_model(tokenizer, salt, lines=False))
        found = [
            completer.complete(CompletionRequest("def f(self):\n    ret", sampling=params, stop=stop)).completions
            for params in (SamplingParams(), *(SamplingParams(s, beam_width=1) for s in ("beam", "best-first")))
        ]
        as_greedy, *searched = [[(c.text, c.tokens, c.stop, round(c.logprob, 4)) for c in one] for one in found]
        assert searched == [as_greedy, as_greedy]
        reasons |= {stop for _, _, stop, _ in as_greedy}
    assert ("doubt" in reasons) == (confidence > 1e-9)


def test_history_of_a_hypothesis_is_what_it_wrote():
    seen: list[TokenIds] = []

    def watch(row: FloatArray, history: History) -> FloatArray:
        seen.append((*history.before.tolist(), *history.written))
        return row

    model = hash_model(4)
    decoder, _ = scene_of(model, 4, 3)
    params = BeamParams(2, 0.0, 1, Chooser((watch,), None))
    beam_search(decoder, plain_covers(model)[1:3], params)
    assert all(history[: len(PROMPT)] == PROMPT and len(history) > len(PROMPT) for history in seen)
