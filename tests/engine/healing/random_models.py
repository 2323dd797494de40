"""Small random vocabularies and models, and the result of exact healing on them, for all tests of exact healing."""

import random
from collections.abc import Callable
from functools import cache
from typing import TypeAlias, cast

import numpy as np
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as LibraryTokenizer

from engine.config import HealingParams
from engine.healing.first_step import Healed, heal
from engine.healing.k_step import Cover
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, FloatArray, TokenIds
from tests.fakes import FakeSession, LogitsOf

Distribution: TypeAlias = dict[TokenIds, float]
"""Maps the tokens of a cover to its probability."""
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


@cache
def random_tokenizer(seed: int) -> Tokenizer:
    """A byte-level BPE vocabulary trained on noise, with few merges."""
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
        # float64 throughout, so that rounding does not affect the comparison.
        row = 2 * np.random.default_rng((seed, *(t + 1 for t in history))).standard_normal(size)
        return cast("FloatArray", row)

    return logits_of


def healed(
    tokenizer: Tokenizer, tail: TokenIds, logits_of: LogitsOf, *, best_only: bool = False, context: TokenIds = CONTEXT
) -> Healed:
    prompt = Prompt(np.array((*context, *tail), np.int32), tail, "plain")
    index = SortedIndex(tokenizer.vocabulary)
    checkpoint = Checkpoint(CancellationToken())
    params = HealingParams(mode="exact")
    return heal(prompt, TokenCache(FakeSession(logits_of)), tokenizer, index, params, checkpoint, best_only=best_only)


def sequence(cover: Cover, tail: TokenIds) -> TokenIds:
    return (*tail[: cover.kept - len(CONTEXT)], *cover.extra, cover.token)


def distribution(result: Healed, tail: TokenIds) -> Distribution:
    covers = [result.first.cover(index) for index in range(len(result.first.ids))]
    valid = [cover for cover in covers if result.is_valid(cover)]
    total = sum(np.exp(cover.logprob) for cover in valid)
    return {sequence(cover, tail): float(np.exp(cover.logprob) / total) for cover in valid}


def text_of(seed: int, letters: list[int]) -> str:
    alphabet = ALPHABETS[seed % len(ALPHABETS)]
    return "".join(alphabet[letter % len(alphabet)] for letter in letters)
