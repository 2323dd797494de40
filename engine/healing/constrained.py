"""Constrained decoding from a token boundary: the baseline of other tools, to compare `exact` with.

The last tokens are dropped, as far back as some longer vocabulary entry could reach to the cursor and beyond. Then the
model decodes greedily. At each step only tokens that agree with the dropped text are allowed: those that are a part of
what is left of it, and those that extend it. Probabilities are normalised over these at each step separately. This is
the difference from `exact`: a token that agrees but leads nowhere keeps its probability.

JetBrains' full-line completion does this with a beam (arXiv 2405.08704, section 4), llguidance and guidance with a
grammar. Ours is what they have in common, decoded greedily.
"""

import math
from collections.abc import Callable
from itertools import accumulate

import numpy as np

from engine.healing.k_step import CoverGroup, FirstStep
from engine.healing.prefix_index import PrefixIndex
from engine.sampling import log_softmax, log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray, TokenIds

NextLogits = Callable[[IdArray], FloatArray]
"""The logits after a sequence ``[S] int32``, ``[V]``."""


def tokens_to_drop(tail: TokenIds, vocabulary: Vocabulary, index: PrefixIndex) -> int:
    """How many tokens of ``tail`` to take back, so that no vocabulary entry reaches the cursor from further back.

    >>> # entries: "im", "port", "import"; tail: "im", "port" -> 2, as "import" begins where "im" does
    """
    text = vocabulary.bytes_of(tail)
    for start in range(max(0, len(text) - vocabulary.longest), len(text)):
        found = index.slice(text[start:])
        longest = found.stop - found.start
        # If there is one entry, it may be the text itself, which extends nothing.
        if longest > 1 or (longest == 1 and len(vocabulary.token_bytes[index.ids[found.start]]) > len(text) - start):
            ends = list(accumulate(len(vocabulary.token_bytes[token]) for token in tail))
            return sum(end > start for end in ends)
    return 0


def constrained_first_step(
    prompt: IdArray, dropped: int, vocabulary: Vocabulary, index: PrefixIndex, next_logits: NextLogits
) -> FirstStep | None:
    """The distribution over the tokens that cross the cursor, after the greedy ones before it.

    ``dropped`` tokens of ``prompt`` (``[S] int32``) are written again; at least one token stays. The surprise is minus
    log2 of the probability that agreed, summed over the steps. None if the greedy steps led to a place after which no
    entry agrees, or if the model gives all of them probability 0.
    """
    kept = len(prompt) - dropped
    left = vocabulary.bytes_of(prompt[kept:].tolist())
    extra: list[int] = []
    bits = 0.0
    while True:
        logprobs = log_softmax(next_logits(np.concatenate([prompt[:kept], np.array(extra, np.int32)])))
        extending = index.ids[index.slice(left)]
        partial = _parts_of(left, vocabulary, index)
        allowed = np.concatenate([extending, partial])
        mass = log_sum_exp(logprobs[allowed]) if len(allowed) else -math.inf
        if not math.isfinite(mass):
            return None
        bits -= mass / math.log(2)
        best = int(allowed[np.argmax(logprobs[allowed])])
        if len(partial) == 0 or best not in partial:
            weights = logprobs[extending]
            normalised = weights - weights.dtype.type(log_sum_exp(weights))
            group = CoverGroup(kept, tuple(extra), len(left), extending, normalised)
            return FirstStep((group,), max(0.0, bits))
        extra.append(best)
        left = left[len(vocabulary.token_bytes[best]) :]


def _parts_of(text: bytes, vocabulary: Vocabulary, index: PrefixIndex) -> IdArray:
    """The entries that are proper beginnings of ``text``, ``[N] int32``."""
    found = []
    for length in range(1, min(len(text), vocabulary.longest + 1)):
        entries = index.slice(text[:length])
        # Entries are sorted by their bytes, so the shortest of those with this beginning is the first.
        if entries.start < entries.stop:
            token = int(index.ids[entries.start])
            if len(vocabulary.token_bytes[token]) == length:
                found.append(token)
    return np.array(found, np.int32)
