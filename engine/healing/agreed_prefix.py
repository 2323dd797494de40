"""The certain part of an uncertain first token: superwords that differ in their second word share the first.

After ``ret``, a vocabulary with superwords divides the probability of ``return`` among ``return self.``, ``return
None`` and a hundred others. None of them is probable, but their first word is.
"""

import math
import re

import numpy as np

from engine.healing.k_step import Cover, FirstStep
from engine.text.vocabulary import Vocabulary

_PARTS = re.compile(rb"[\w\x80-\xff]+|\s+|[^\w\s\x80-\xff]+")
_WORD = re.compile(rb"[\w\x80-\xff]\Z")
_LEAST_SHARE = 1e-3


def agreed_prefix(first: FirstStep, cover: Cover, vocabulary: Vocabulary, least: float) -> tuple[bytes, float]:
    """The longest certain beginning of what ``cover`` adds to the typed text, and the natural log of its probability.

    It ends with a word, and covers with a total probability of at least ``least`` agree in it. It is empty if there is
    none.

    Covers are not checked for being canonical, because the model gives next to no probability to those that are not.
    """
    added = vocabulary.token_bytes[cover.token][cover.typed :]
    negligible = math.log(least * _LEAST_SHARE)
    others = [
        (float(np.exp(group.logprobs[at])), vocabulary.token_bytes[group.ids[at]][group.typed :])
        for group in first.groups
        for at in np.flatnonzero(group.logprobs > negligible)
    ]
    for end in reversed([part.end() for part in _PARTS.finditer(added)]):
        if end == len(added) and _WORD.search(added):
            continue  # the word may continue with the next token
        mass = sum(probability for probability, other in others if _agree(other, added[:end]))
        if mass >= least:
            return added[:end], math.log(mass)
    return b"", 0.0


def _agree(text: bytes, beginning: bytes) -> bool:
    """Whether ``text`` starts with ``beginning`` and does not continue the word that ``beginning`` ends with."""
    if not text.startswith(beginning) or text == beginning:
        return text == beginning
    return not (_WORD.search(beginning) and _WORD.search(text[: len(beginning) + 1]))
