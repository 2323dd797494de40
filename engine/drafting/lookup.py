"""Drafts from the document: what follows the same tokens elsewhere is likely to follow here (prompt lookup).

After Saxena, "Prompt Lookup Decoding" (2023). Where we differ: of several places the longest match counts, up to
`LONGEST` tokens, then the token that most of them go on with; and the length of a draft follows what such matches were
worth so far (`engine.drafting.draft`).
"""

import numpy as np
from numpy.typing import NDArray

from engine.drafting.draft import NO_DRAFT, Draft
from engine.types import IdArray

LONGEST = 8
"""Tokens of a match beyond which its length says nothing more."""
MOST_DRAFTED = 12
"""Tokens of a draft, at most."""

FIRST_SHARES = (0.17, 0.32, 0.46, 0.6, 0.62, 0.7, 0.7, 0.8, 0.45, 0.53, 0.6, 0.65, 0.7, 0.72, 0.75, 0.88)
"""How often a token is right before anything was seen, by grade: where the places disagree, then where they agree, each
by the length of the match. Measured on real files, with the tokenizer of a large model.
"""


def grade_of(length: int, *, agreed: bool) -> int:
    """The grade of a token that follows a match of so many tokens."""
    return min(length, LONGEST) - 1 + LONGEST * agreed


class Lookup:
    """Drafts for one completion from ``source``, ``[R] int32``, and from what stands in its own sequence.

    ``control``, ``[V] bool``, marks control tokens: they are neither drafted nor matched.
    """

    def __init__(self, source: IdArray, settled: int, capacity: int, control: NDArray[np.bool_]) -> None:
        """``settled`` leading tokens of the sequence are in ``source``, or are not to be drafted from; those after
        them are added to it while they are written. The sequence has ``capacity`` tokens, at most.
        """
        self._text: IdArray = np.empty(len(source) + max(0, capacity - settled), np.int32)
        self._text[: len(source)] = source
        self._source = len(source)
        self._settled = settled
        self._control = control

    def propose(self, ids: IdArray) -> Draft:
        """What may follow ``ids``, ``[S] int32``; no tokens where their last one stands nowhere else."""
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
    """The last of ``places`` that goes on as most of them do, and whether all do."""
    following = text[places + 1]
    last = following[-1]
    if (following == last).all():
        return int(places[-1]), True
    tokens, counts = np.unique(following, return_counts=True)
    best = last if counts[tokens == last][0] == counts.max() else tokens[counts.argmax()]
    return int(places[following == best][-1]), False
