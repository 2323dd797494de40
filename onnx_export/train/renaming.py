"""Replaces the names of a project by others, so that only the text before shows what comes next.

A small model learns late to copy what followed the same words further up, and it cannot know the names of an unknown
project in any other way. In a renamed piece, each word that few files have and that the piece repeats is replaced by
another such word, everywhere and in the same letter case: `max_parked = self.parked` becomes `max_lattice =
self.lattice`. (Lachaux et al., DOBF, 2021, also replace names as a training signal. There the model must recover them,
here it must copy them.)
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_export.train.corpus import Document

RENAME_RATE = 0.3
WORD_SHARE = 0.8
RARE_SHARE = 0.1
"""Words in a smaller share of the files belong to a project. The others belong to the language or are common."""
SAMPLED_FILES = 2_000
_SHORTEST = 4
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_IMPORTS = re.compile(r"^\s*(?:from|import)\s[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class Renamer:
    """Renames in a share `rate` of the pieces. `renamer` makes it. Words are lower case."""

    rate: float
    common: frozenset[str]
    rare: Sequence[str]

    def rename(self, piece: str, rng: np.random.Generator) -> str:
        """The piece with most of its own repeated words replaced; what it imports keeps its name."""
        if not self.rare:
            return piece
        counts = Counter(word.lower() for word in _WORDS.findall(piece))
        imported = {word.lower() for line in _IMPORTS.findall(piece) for word in _WORDS.findall(line)}
        own = [
            word
            for word, count in counts.items()
            if count > 1 and len(word) >= _SHORTEST and word not in self.common and word not in imported
        ]
        others = {word: self.rare[int(rng.integers(len(self.rare)))] for word in own if rng.random() < WORD_SHARE}
        return _WORDS.sub(lambda match: _replacement(match[0], others), piece) if others else piece


def renamer(documents: Sequence[Document], rate: float = RENAME_RATE) -> Renamer:
    """Make a renamer that learns from some of the documents, evenly spaced, which words are rare."""
    sampled = documents[:: max(1, len(documents) // SAMPLED_FILES)]
    files = Counter[str]()
    for document in sampled:
        files.update({word.lower() for word in _WORDS.findall(document.text)})
    bound = RARE_SHARE * len(sampled)
    common = frozenset(word for word, count in files.items() if count > bound)
    rare = sorted(word for word, count in files.items() if 2 < count <= bound and _SHORTEST <= len(word) <= 14)
    return Renamer(rate, common, rare)


def _replacement(word: str, others: dict[str, str]) -> str:
    other = others.get(word.lower())
    if other is None:
        return word
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
