"""Drafts from the document: what follows the same tokens elsewhere is likely to follow here (prompt lookup).

After Saxena, "Prompt Lookup Decoding" (2023). Where we differ: if there are several places, those with the longest
match count (up to `LONGEST` tokens), and among these the token that follows most often. The length of a draft depends
on how often such matches were right so far (`engine.drafting.draft`).
"""

import numpy as np
from numpy.typing import NDArray

from engine.drafting.draft import NO_DRAFT, Draft
from engine.types import IdArray

LONGEST = 8
"""Longest match that is distinguished: beyond this length, a longer match is no better."""
MOST_DRAFTED = 12
"""Tokens of a draft, at most."""

FIRST_SHARES = (0.17, 0.32, 0.46, 0.6, 0.62, 0.7, 0.7, 0.8, 0.45, 0.53, 0.6, 0.65, 0.7, 0.72, 0.75, 0.88)
"""Share of right tokens assumed at the start, by grade: first for places that disagree, then for places that agree,
each by the length of the match. Measured on real files, with the tokenizer of a large model.
"""


def grade_of(length: int, *, agreed: bool) -> int:
    """The grade of a token that follows a match of ``length`` tokens."""
    return min(length, LONGEST) - 1 + LONGEST * agreed


class Lookup:
    """Drafts for one completion from ``source``, ``[R] int32``, and from the completion's own sequence.

    ``control``, ``[V] bool``, marks control tokens: they are neither drafted nor matched.
    """

    def __init__(self, source: IdArray, settled: int, capacity: int, control: NDArray[np.bool_]) -> None:
        """The first ``settled`` tokens of the sequence are in ``source`` already, or must not be drafted from. The
        tokens after them are added to it while they are written. The sequence has at most ``capacity`` tokens.
        """
        self._text: IdArray = np.empty(len(source) + max(0, capacity - settled), np.int32)
        self._text[: len(source)] = source
        self._source = len(source)
        self._settled = settled
        self._control = control

    def propose(self, ids: IdArray) -> Draft:
        """What may follow ``ids``, ``[S] int32``; no tokens if the last id occurs nowhere else."""
        if self._control[ids[-1]]:
            return NO_DRAFT
        end = self._source + len(ids) - self._settled
        self._text[self._source : end] = ids[self._settled :]
        text = self._text[:end]
        places = np.flatnonzero(text[:-1] == ids[-1])
        length = 1
        while len(places) > 1 and length < min(LONGEST, len(ids)):
            longer = places[places >= length]
            longer = longer[text[longer - length] == ids[-1 - length]]
            if not len(longer):
                break
            places, length = longer, length + 1
        if not len(places):
            return NO_DRAFT
        if len(places) == 1:
            length = self._length_of_match(text, int(places[0]), ids)
        place, agreed = _most_common(text, places)
        tokens = text[place + 1 : place + 1 + MOST_DRAFTED]
        controls = np.flatnonzero(self._control[tokens])
        tokens = tokens[: controls[0]] if len(controls) else tokens
        grades = [grade_of(length + number, agreed=agreed) for number in range(len(tokens))]
        return Draft("lookup", tokens.tolist(), grades)

    @staticmethod
    def _length_of_match(text: IdArray, place: int, ids: IdArray) -> int:
        most = min(LONGEST, place + 1, len(ids))
        different = np.flatnonzero(text[place + 1 - most : place + 1][::-1] != ids[len(ids) - most :][::-1])
        return int(different[0]) if len(different) else most


def _most_common(text: IdArray, places: NDArray[np.intp]) -> tuple[int, bool]:
    """The last of ``places`` that is followed by the most frequent token, and whether all are followed by it."""
    following = text[places + 1]
    last = following[-1]
    if (following == last).all():
        return int(places[-1]), True
    tokens, counts = np.unique(following, return_counts=True)
    best = last if counts[tokens == last][0] == counts.max() else tokens[counts.argmax()]
    return int(places[following == best][-1]), False
