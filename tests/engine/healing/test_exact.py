"""Exact healing against brute force, and its invariants on real vocabularies."""

from collections import Counter
from dataclasses import replace
from itertools import accumulate
from typing import cast
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import HealingParams, SamplingParams
from engine.healing.first_step import Healed, choose_covers
from engine.sampling import build_chooser
from engine.text.tokenizer import Tokenizer
from engine.types import CompletionRequest, FloatArray, TokenIds
from tests.engine.healing.random_models import (
    ALPHABETS,
    CONTEXT,
    Distribution,
    distribution,
    healed,
    random_model,
    random_tokenizer,
    sequence,
    text_of,
)
from tests.fakes import LogitsOf, fake_completer, hash_model, toy_tokenizer
from tests.reference.covers import conditional_distribution, total_variation
from tests.toy import byte_level_json, every_byte

seeds = st.integers(0, 299)
tails = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def scene(seed: int, letters: list[int]) -> tuple[Tokenizer, TokenIds, LogitsOf, Distribution]:
    """A tokenizer, a tail, a model, and the true distribution over the covers of that tail."""
    tokenizer, text = random_tokenizer(seed), text_of(seed, letters)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_distribution(text.encode(), CONTEXT, logits_of, tokenizer, ALPHABETS[seed % len(ALPHABETS)])
    return tokenizer, tokenizer.encode(text), logits_of, truth


def distribution_of(tokenizer: Tokenizer, tail: TokenIds, logits_of: LogitsOf) -> Distribution:
    return distribution(healed(tokenizer, tail, logits_of), tail)


def assert_equal_but_for_branches_left_out(found: Distribution, truth: Distribution) -> None:
    # Branches with less than a millionth of the mass may be left out; nothing else may differ.
    missing = sum(p for s, p in truth.items() if s not in found)
    assert missing <= 2e-6
    assert total_variation(found, truth) <= missing + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["byte-level", "superword", "plain", "sentencepiece"]),
    st.sampled_from(
        ["import nump", "return s", "http:", "  ", " se", "x\n  ", "é", "1234", "numpy as n", "<|end", "self.n"]
    ),
    st.integers(1, 5),
    st.integers(0, 9),
)
def test_the_distribution_on_every_kind_of_vocabulary(kind: str, text: str, length: int, seed: int) -> None:
    tokenizer = toy_tokenizer(kind)
    text = text[-length:]
    tail = tokenizer.encode(text)
    data = tokenizer.vocabulary.bytes_of(tail)  # with SentencePiece's leading space
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_distribution(data, CONTEXT, logits_of, tokenizer)
    assert_equal_but_for_branches_left_out(distribution_of(tokenizer, tail, logits_of), truth)
    best = healed(tokenizer, tail, logits_of, best_only=True)
    (cover,) = choose_covers(best, build_chooser(SamplingParams()), 1)
    assert sequence(cover, tail) == max(truth, key=lambda key: truth[key])


@settings(max_examples=100, deadline=None)
@given(seeds, tails)
def test_the_distribution_is_the_models_own_conditioned_on_what_is_typed(seed: int, letters: list[int]) -> None:
    tokenizer, tail, logits_of, truth = scene(seed, letters)
    assert_equal_but_for_branches_left_out(distribution_of(tokenizer, tail, logits_of), truth)
    with patch("engine.healing.first_step.NEGLIGIBLE", 1e-30):
        assert total_variation(distribution_of(tokenizer, tail, logits_of), truth) <= 1e-9


@settings(max_examples=100, deadline=None)
@given(seeds, tails)
def test_greedy_takes_the_heaviest_cover(seed: int, letters: list[int]) -> None:
    tokenizer, tail, logits_of, truth = scene(seed, letters)
    result = healed(tokenizer, tail, logits_of, best_only=True)
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    assert sequence(cover, tail) == max(truth, key=lambda key: truth[key])


@settings(max_examples=60, deadline=None)
@given(seeds, tails, tails)
def test_the_distribution_does_not_depend_on_where_the_tail_begins(
    seed: int, before: list[int], after: list[int]
) -> None:
    tokenizer = random_tokenizer(seed)
    text = text_of(seed, before + after)
    boundary = tokenizer.split_stable(text)
    context, tail = tokenizer.encode_split(text, boundary)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    long = healed(tokenizer, context + tail, logits_of)
    short = healed(tokenizer, tail, logits_of, context=CONTEXT + context)
    shifted = {
        (*context, *(*tail[: c.kept - len(CONTEXT) - len(context)], *c.extra, c.token)): c
        for c in map(short.first.cover, range(len(short.first.ids)))
        if short.is_valid(c)
    }
    total = sum(np.exp(c.logprob) for c in shifted.values())
    of_short = {key: float(np.exp(c.logprob) / total) for key, c in shifted.items()}
    assert total_variation(distribution(long, context + tail), of_short) <= 3e-6


@settings(max_examples=100, deadline=None)
@given(seeds, st.text("aé€\U0001f469 ", min_size=1, max_size=3), st.integers(1, 3))
def test_the_distribution_where_the_cut_is_inside_a_character(seed: int, text: str, dropped: int) -> None:
    tokenizer = random_tokenizer(seed)
    data = text.encode()[:-dropped] or text.encode()[:1]
    tail = tokenizer.encode_bytes(data)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_distribution(data, CONTEXT, logits_of, tokenizer)
    assert_equal_but_for_branches_left_out(distribution_of(tokenizer, tail, logits_of), truth)


@pytest.mark.parametrize("typed", [1, 3, 63, 64, 100, 127, 128, 129, 1000, 1023, 1024, 1025])
def test_entries_of_128_and_1024_bytes(typed: int) -> None:
    # One letter, doubled by each merge. Everything that may follow is listed: all longer texts of that letter.
    sizes = [2**power for power in range(1, 11)]
    entries = [*every_byte(), *(b"a" * size for size in sizes)]
    tokenizer = Tokenizer(byte_level_json(entries, [(b"a" * (size // 2), b"a" * (size // 2)) for size in sizes]))
    assert tokenizer.vocabulary.longest == 1024
    tail = tokenizer.encode("a" * typed)
    possible = set()
    for length in range(typed, typed + 1025):
        ids = tokenizer.encode("a" * length)
        ends = accumulate(len(tokenizer.vocabulary.token_bytes[token]) for token in ids)
        possible.add(ids[: next(number for number, end in enumerate(ends, 1) if end >= typed)])
    result = healed(tokenizer, tail, lambda _: np.zeros(tokenizer.vocabulary.size, np.float32))
    assert set(distribution(result, tail)) == possible


def an_example() -> tuple[TokenIds, Distribution, Healed]:
    """A tail, the true distribution over its covers, and the result of healing."""
    tokenizer = random_tokenizer(11)
    text = text_of(11, [0, 2])
    tail = tokenizer.encode(text)
    logits_of = random_model(8, tokenizer.vocabulary.size)
    truth = conditional_distribution(text.encode(), CONTEXT, logits_of, tokenizer)
    assert len(truth) > 10, "too few covers to tell anything"
    result = healed(tokenizer, tail, logits_of)
    return tail, truth, result


def test_draws_follow_the_weights() -> None:
    tail, truth, result = an_example()
    chooser = build_chooser(SamplingParams("sample", seed=1))
    draws = 3000
    counts = Counter(sequence(choose_covers(result, chooser, 1)[0], tail) for _ in range(draws))
    common = [key for key, p in truth.items() if p * draws >= 5]
    statistic = sum((counts[key] - truth[key] * draws) ** 2 / (truth[key] * draws) for key in common)
    # 99.9 % point of the chi-square distribution by Wilson and Hilferty's approximation.
    freedom = len(common)
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert set(counts) <= set(truth)


def test_distinct_covers_are_canonical_and_ranked() -> None:
    tail, truth, result = an_example()
    covers = choose_covers(result, build_chooser(SamplingParams()), 5)
    assert [sequence(c, tail) for c in covers] == sorted(truth, key=lambda key: -truth[key])[:5]


def test_what_is_drawn_first_does_not_depend_on_how_many_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    # One cover is verified beforehand. The others turn out to be wrong when they are drawn.
    monkeypatch.setattr("engine.healing.first_step.SETTLED_CHECKS", 1)
    _, _, result = an_example()
    struck = replace(result, is_valid=lambda cover: cover.token % 2 == 0)
    for seed in range(50):
        alone, several = (
            choose_covers(struck, build_chooser(SamplingParams("sample", temperature=2.0, top_k=4, seed=seed)), count)
            for count in (1, 3)
        )
        assert several[:1] == alone
        assert len(set(several)) == len(several)
        assert all(cover.token % 2 == 0 for cover in several)


def test_a_model_that_rules_everything_out_still_agrees_with_what_is_typed() -> None:
    tokenizer = random_tokenizer(0)
    text = text_of(0, [0, 1])
    tail = tokenizer.encode(text)

    def logits_of(history: TokenIds) -> FloatArray:
        row = np.full(tokenizer.vocabulary.size, -np.inf)
        row[0] = 0.0  # the end-of-text token alone
        return cast("FloatArray", row)

    result = healed(tokenizer, tail, logits_of)
    assert result.first.surprise_bits == float("inf")
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    assert tokenizer.vocabulary.bytes_of(sequence(cover, tail)).startswith(text.encode())


def test_too_much_surprise_completes_nothing() -> None:
    tokenizer = toy_tokenizer("superword")
    completer, _ = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size))
    request = CompletionRequest("import nump")
    bits = completer.complete(request).completions[0].healing.surprise_bits
    assert bits > 1
    for bound, count in ((bits + 0.1, 1), (bits - 0.1, 0)):
        healing = HealingParams(max_surprise_bits=bound)
        assert len(completer.complete(CompletionRequest("import nump", healing=healing)).completions) == count


def test_a_split_that_looks_ahead_is_healed_with_what_follows() -> None:
    # Two spaces and "aaa" are three tokens, two spaces alone are one: see docs/healing.md, hard cases.
    tokenizer = random_tokenizer(44)
    tail = tokenizer.encode("  a")
    logits_of = random_model(44, tokenizer.vocabulary.size)
    truth = conditional_distribution(b"  a", CONTEXT, logits_of, tokenizer)
    assert total_variation(distribution(healed(tokenizer, tail, logits_of), tail), truth) <= 1e-5
