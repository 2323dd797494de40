"""Exact healing against brute force, and its invariants on real vocabularies."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import accumulate
from typing import cast
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as LibraryTokenizer

from engine.config import HealingParams, SamplingParams
from engine.healing.exact import plan_exact
from engine.healing.first_step import Healed, choose_covers, heal
from engine.healing.k_step import Cover
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest, FloatArray, TokenIds
from tests.fakes import FakeSession, LogitsOf, fake_completer, hash_model, toy_tokenizer
from tests.real import NAMES, real_tokenizer
from tests.reference.covers import conditional_law, total_variation
from tests.toy import byte_level_json, every_byte

ALPHABETS = ("aab c", "ab\n  é", "a1 '\t")
SPLITS: tuple[Callable[[], pre_tokenizers.PreTokenizer], ...] = (
    lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LOOKING_AHEAD), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
)
LOOKING_AHEAD = r"[^\r\n\p{L}\p{N}]?\p{L}+(?i:'aa|'bb|' )?|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Endings that join the word before them, digits by two, a last space that goes with the next word."""
CONTEXT = (1, 2)
HARD_TAILS = (
    "http:", "http", "intermed", "Hello, worl", "Recurre", "Nod", "re", "from sym", "import nump", "np.ar", " [", '{"',
    '"', " ", "  ", "   ", "       ", "        ", "\t", "\t\t", "x\r\n", "x\n    ", "\n  ", "12", "1234", "1234567",
    "don'", "I'l", "é", "e\u0301", "👩\u200d👩", "广州的白云", "a" * 64, "<|endof", "<|endoftext|>", "self.conf",
)  # fmt: skip


@cache
def random_tokenizer(seed: int) -> Tokenizer:
    """A byte-level BPE vocabulary trained on noise: few merges, and those as they come."""
    generator = random.Random(seed)
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    corpus = ["".join(generator.choices(alphabet, k=30)) for _ in range(40)]
    tokenizer = LibraryTokenizer(models.BPE(ignore_merges=bool(seed % 5 == 0)))
    tokenizer.pre_tokenizer = SPLITS[seed // len(ALPHABETS) % len(SPLITS)]()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 12 + seed % 17,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return Tokenizer(tokenizer.to_str())


def random_model(seed: int, size: int) -> LogitsOf:
    def logits_of(history: TokenIds) -> FloatArray:
        # float64 throughout, so that the comparison with the truth is not one of rounding.
        row = 2 * np.random.default_rng((seed, *(t + 1 for t in history))).standard_normal(size)
        return cast("FloatArray", row)

    return logits_of


def healed(
    tokenizer: Tokenizer, tail: TokenIds, logits_of: LogitsOf, *, best_only: bool = False, context: TokenIds = CONTEXT
) -> tuple[Healed, FakeSession]:
    session = FakeSession(logits_of)
    prompt = Prompt(np.array((*context, *tail), np.int32), tail, "plain")
    index = SortedIndex(tokenizer.vocabulary)
    checkpoint = Checkpoint(CancellationToken())
    params = HealingParams(mode="exact")
    return heal(prompt, TokenCache(session), tokenizer, index, params, checkpoint, best_only=best_only), session


def sequence(cover: Cover, tail: TokenIds) -> TokenIds:
    return (*tail[: cover.kept - len(CONTEXT)], *cover.extra, cover.token)


def law(result: Healed, tail: TokenIds) -> dict[TokenIds, float]:
    covers = [result.first.cover(index) for index in range(len(result.first.ids))]
    valid = [cover for cover in covers if result.is_valid(cover)]
    total = sum(np.exp(cover.logprob) for cover in valid)
    return {sequence(cover, tail): float(np.exp(cover.logprob) / total) for cover in valid}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["byte-level", "superword", "plain", "sentencepiece"]),
    st.sampled_from(
        ["import nump", "return s", "http:", "  ", " se", "x\n  ", "é", "1234", "numpy as n", "<|end", "self.n"]
    ),
    st.integers(1, 5),
    st.integers(0, 9),
)
def test_the_law_on_every_kind_of_vocabulary(kind: str, text: str, length: int, seed: int) -> None:
    tokenizer = toy_tokenizer(kind)
    text = text[-length:]
    tail = tokenizer.encode(text)
    data = tokenizer.vocabulary.bytes_of(tail)  # with SentencePiece's leading space
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_law(data, CONTEXT, logits_of, tokenizer)
    result, _ = healed(tokenizer, tail, logits_of)
    missing = sum(p for s, p in truth.items() if s not in law(result, tail))
    assert missing <= 2e-6
    assert total_variation(law(result, tail), truth) <= missing + 1e-9
    best, _ = healed(tokenizer, tail, logits_of, best_only=True)
    (cover,) = choose_covers(best, build_chooser(SamplingParams()), 1)
    assert sequence(cover, tail) == max(truth, key=lambda key: truth[key])


@pytest.mark.parametrize("text", HARD_TAILS)
def test_invariants_on_a_sentencepiece_vocabulary(text: str) -> None:
    check_invariants(toy_tokenizer("sentencepiece"), SortedIndex(toy_tokenizer("sentencepiece").vocabulary), text)


def check_invariants(tokenizer: Tokenizer, index: SortedIndex, text: str) -> None:
    """The typed bytes come first, the canonical path is a cover, no cover stands twice, no control token in any."""
    tail = tokenizer.encode(text)
    plan = plan_exact(tail, len(tail) + 1, tokenizer, index)
    assert plan is not None, "every text can be written by its own encoding"
    data = tokenizer.vocabulary.bytes_of(tail)
    token_bytes = tokenizer.vocabulary.token_bytes
    seen = set()
    for branch in plan.branches:
        head = (*tail[: branch.shared], *branch.extra)
        assert tokenizer.vocabulary.bytes_of(head) + branch.typed == data
        assert all(token_bytes[t].startswith(branch.typed) for t in branch.candidates[:50].tolist())
        assert head not in seen, "no cover twice"
        seen.add(head)
    canonical = [b for b in plan.branches if (*tail[: b.shared], *b.extra) == tail[:-1]]
    assert any(tail[-1] in branch.candidates for branch in canonical), "the canonical path is a cover"
    assert not tokenizer.vocabulary.control_ids & {t for b in plan.branches for t in b.extra}


seeds = st.integers(0, 299)
tails = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def text_of(seed: int, letters: list[int]) -> str:
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    return "".join(alphabet[letter % len(alphabet)] for letter in letters)


@settings(max_examples=100, deadline=None)
@given(seeds, tails)
def test_the_law_is_the_models_own_conditioned_on_what_is_typed(seed: int, letters: list[int]) -> None:
    tokenizer, text = random_tokenizer(seed), text_of(seed, letters)
    tail = tokenizer.encode(text)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_law(text.encode(), CONTEXT, logits_of, tokenizer, ALPHABETS[seed % len(ALPHABETS)])
    result, _ = healed(tokenizer, tail, logits_of)
    # Branches that hold less than a millionth of the mass may be left out; nothing else may differ.
    missing = sum(p for s, p in truth.items() if s not in law(result, tail))
    assert missing <= 2e-6
    assert total_variation(law(result, tail), truth) <= missing + 1e-9
    with patch("engine.healing.first_step.NEGLIGIBLE", 1e-30):
        result, _ = healed(tokenizer, tail, logits_of)
    assert total_variation(law(result, tail), truth) <= 1e-9


@settings(max_examples=100, deadline=None)
@given(seeds, tails)
def test_greedy_takes_the_heaviest_cover(seed: int, letters: list[int]) -> None:
    tokenizer, text = random_tokenizer(seed), text_of(seed, letters)
    tail = tokenizer.encode(text)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_law(text.encode(), CONTEXT, logits_of, tokenizer, ALPHABETS[seed % len(ALPHABETS)])
    result, _ = healed(tokenizer, tail, logits_of, best_only=True)
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    assert sequence(cover, tail) == max(truth, key=lambda key: truth[key])


@settings(max_examples=60, deadline=None)
@given(seeds, tails, tails)
def test_the_law_does_not_depend_on_where_the_tail_begins(seed: int, before: list[int], after: list[int]) -> None:
    tokenizer = random_tokenizer(seed)
    text = text_of(seed, before + after)
    boundary = tokenizer.split_stable(text)
    context, tail = tokenizer.encode_split(text, boundary)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    long, _ = healed(tokenizer, context + tail, logits_of)
    short, _ = healed(tokenizer, tail, logits_of, context=CONTEXT + context)
    shifted = {
        (*context, *(*tail[: c.kept - len(CONTEXT) - len(context)], *c.extra, c.token)): c
        for c in map(short.first.cover, range(len(short.first.ids)))
        if short.is_valid(c)
    }
    total = sum(np.exp(c.logprob) for c in shifted.values())
    law_of_short = {key: float(np.exp(c.logprob) / total) for key, c in shifted.items()}
    assert total_variation(law(long, context + tail), law_of_short) <= 3e-6


@settings(max_examples=100, deadline=None)
@given(seeds, st.text("aé€\U0001f469 ", min_size=1, max_size=3), st.integers(1, 3))
def test_the_law_where_the_cut_is_inside_a_character(seed: int, text: str, dropped: int) -> None:
    tokenizer = random_tokenizer(seed)
    data = text.encode()[:-dropped] or text.encode()[:1]
    tail = tokenizer.encode_bytes(data)
    logits_of = random_model(seed, tokenizer.vocabulary.size)
    truth = conditional_law(data, CONTEXT, logits_of, tokenizer)
    result, _ = healed(tokenizer, tail, logits_of)
    missing = sum(p for s, p in truth.items() if s not in law(result, tail))
    assert missing <= 2e-6
    assert total_variation(law(result, tail), truth) <= missing + 1e-9


@pytest.mark.parametrize("typed", [1, 3, 63, 64, 100, 127, 128, 129, 1000, 1023, 1024, 1025])
def test_entries_of_128_and_1024_bytes(typed: int) -> None:
    # One letter, doubled by each merge. What may come is written out: every longer text of that letter.
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
    result, _ = healed(tokenizer, tail, lambda _: np.zeros(tokenizer.vocabulary.size, np.float32))
    assert set(law(result, tail)) == possible


def an_example() -> tuple[TokenIds, dict[TokenIds, float], Healed]:
    """A tail, the true law of its covers, and what healing makes of it."""
    tokenizer = random_tokenizer(11)
    text = text_of(11, [0, 2])
    tail = tokenizer.encode(text)
    logits_of = random_model(8, tokenizer.vocabulary.size)
    truth = conditional_law(text.encode(), CONTEXT, logits_of, tokenizer)
    assert len(truth) > 10, "too few covers to tell anything"
    result, _ = healed(tokenizer, tail, logits_of)
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
    # One cover is verified beforehand: the others show to be wrong when they are drawn.
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
        row[0] = 0.0  # end of text alone
        return cast("FloatArray", row)

    result, _ = healed(tokenizer, tail, logits_of)
    assert result.first.surprise_bits == float("inf")
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    assert tokenizer.vocabulary.bytes_of(sequence(cover, tail)).startswith(text.encode())


@cache
def real_index(name: str) -> tuple[Tokenizer, SortedIndex]:
    tokenizer = real_tokenizer(name)
    return tokenizer, SortedIndex(tokenizer.vocabulary)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HARD_TAILS)
def test_invariants_on_real_vocabularies(name: str, text: str) -> None:
    check_invariants(*real_index(name), text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HARD_TAILS)
def test_greedy_on_real_vocabularies_writes_what_is_typed(name: str, text: str) -> None:
    tokenizer, index = real_index(name)
    tail = tokenizer.encode(text)
    size = tokenizer.vocabulary.size

    def logits_of(history: TokenIds) -> FloatArray:
        row: FloatArray = np.random.default_rng(len(history)).standard_normal(size).astype(np.float32)
        return row

    session = FakeSession(logits_of)
    prompt = Prompt(np.array((0, *tail), np.int32), tail, "plain")
    checkpoint = Checkpoint(CancellationToken())
    params = HealingParams(mode="exact")
    result = heal(prompt, TokenCache(session), tokenizer, index, params, checkpoint, best_only=True)
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    ids = (*tail[: cover.kept - 1], *cover.extra, cover.token)
    written = tokenizer.vocabulary.bytes_of(ids)
    assert written.startswith(text.encode())
    assert len(written) - len(tokenizer.vocabulary.token_bytes[cover.token]) + cover.typed == len(text.encode())
    assert tokenizer.encode_bytes(written) == ids


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
    truth = conditional_law(b"  a", CONTEXT, logits_of, tokenizer)
    assert total_variation(law(healed(tokenizer, tail, logits_of)[0], tail), truth) <= 1e-5
