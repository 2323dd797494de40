"""Exact healing by brute force: every token sequence that just covers the typed bytes, scored one by one."""

import math
from collections.abc import Hashable, Mapping
from itertools import product
from typing import TypeVar

import numpy as np

from engine.text.tokenizer import Tokenizer
from tests.fakes import LogitsOf

Sequence = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)


def conditional_distribution(
    typed: bytes, context: Sequence, logits_of: LogitsOf, tokenizer: Tokenizer, alphabet: str = ""
) -> dict[Sequence, float]:
    """Probabilities of the canonical sequences that begin with ``typed`` and cross its end with their last token.

    This is the model's own distribution conditioned on the typed bytes, written out. All sequences of tokens are tried;
    there is no trie and no split. A sequence is canonical if it begins the encoding of the text that it writes. If that
    text ends with a whole character, it may also begin the encoding of that text and more: one character of each class,
    or one or two of ``alphabet``.
    """
    futures = [*(one.encode() for one in "ꙮꙀꙁ1𐄇⁜ \n'\u2003\u0301")]
    futures += ["".join(more).encode() for count in (1, 2) for more in product(alphabet, repeat=count)]
    weights: dict[Sequence, float] = {}
    token_bytes = tokenizer.vocabulary.token_bytes

    def extend(sequence: Sequence, data: bytes, logprob: float) -> None:
        row = np.asarray(logits_of(context + sequence), np.float64)[: tokenizer.vocabulary.size]
        row = row - np.logaddexp.reduce(row)
        for token, piece in enumerate(token_bytes):
            longer = data + piece
            if not piece or not (longer.startswith(typed) or typed.startswith(longer)):
                continue
            if len(longer) < len(typed):
                extend((*sequence, token), longer, logprob + float(row[token]))
            elif tokenizer.encode_bytes(longer) == (*sequence, token) or (
                _whole(longer)
                and any(tokenizer.encode_bytes(longer + z)[: len(sequence) + 1] == (*sequence, token) for z in futures)
            ):
                weights[(*sequence, token)] = logprob + float(row[token])

    # A sequence that writes all of the typed text already is crossed by its next token: none is shorter than that.
    extend((), b"", 0.0)
    total = np.logaddexp.reduce(list(weights.values()))
    return {sequence: math.exp(weight - total) for sequence, weight in weights.items()}


def _whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def total_variation(left: Mapping[Key, float], right: Mapping[Key, float]) -> float:
    """Half the sum of the absolute differences of two distributions."""
    return sum(abs(left.get(key, 0.0) - right.get(key, 0.0)) for key in {*left, *right}) / 2
