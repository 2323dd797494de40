"""A draft, and what is learned from the drafts before it: how often they were right, and what a pass costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SourceName = Literal["lookup", "model"]

LEAST_GAIN = 1.05
"""Tokens a second, against a pass for each, that a draft must promise: what follows is an estimate."""
_LATEST = 0.04
"""Weight of the latest token in what is learned, once there are many; some 25 of them count."""
_LATEST_PASS = 0.15
_TAKEN_FOR_GRANTED = 4
"""What is taken for granted at first counts as so many tokens, or passes."""
_FIRST_EXTRA = 0.3
"""What a further row costs, against the first, as long as none was measured."""


@dataclass(frozen=True, slots=True)
class Draft:
    """``tokens`` that may come next. ``grades`` say how sure its source is of each of them, as far as it can tell by
    itself: how often tokens of that grade are right is learned (`Acceptance`).
    """

    source: SourceName
    tokens: Sequence[int]
    grades: Sequence[int]


NO_DRAFT = Draft("lookup", (), ())


class Acceptance:
    """How often drafted tokens of each grade were right, those before them in their draft being right."""

    def __init__(self, first: Sequence[float]) -> None:
        """``first`` are the shares that are taken for granted until there is experience, one for each grade."""
        self._shares = list(first)
        self._seen = [_TAKEN_FOR_GRANTED] * len(first)

    def share(self, grade: int) -> float:
        """Of the tokens of a grade, in [0, 1]."""
        return self._shares[grade]

    def note(self, grade: int, *, right: bool) -> None:
        """A token of a grade turned out to be right or wrong."""
        self._seen[grade] += 1
        self._shares[grade] += max(_LATEST, 1 / self._seen[grade]) * (right - self._shares[grade])


class PassCost:
    """What a pass that verifies ``n`` drafted tokens takes against one that runs a single token, as measured.

    Taken as ``1 + n * extra``: on a processor a row more takes its share of the products' time, whatever their number.
    """

    def __init__(self) -> None:
        self._single_s = 0.0
        self._extra = _FIRST_EXTRA
        self._seen = _TAKEN_FOR_GRANTED

    @property
    def single_s(self) -> float:
        """Seconds of a pass over one token; 0 where none was measured."""
        return self._single_s

    def ratio(self, drafted: int) -> float:
        """Of a pass with so many drafted tokens to one with none."""
        return 1.0 + drafted * self._extra

    def note(self, drafted: int, seconds: float) -> None:
        """A pass over a token and ``drafted`` more took ``seconds``."""
        if not drafted:
            # A pass that was held up counts as three, at most.
            seconds = min(seconds, 3 * self._single_s) if self._single_s else seconds
            weight = _LATEST_PASS if self._single_s else 1.0
            self._single_s += weight * (seconds - self._single_s)
        elif self._single_s:
            extra = (seconds / self._single_s - 1.0) / drafted
            self._seen += 1
            self._extra += max(_LATEST_PASS, 1 / self._seen) * (min(max(extra, 0.0), 1.5) - self._extra)


def best_length(shares: Sequence[float], cost: PassCost) -> tuple[int, float]:
    """How many tokens of a draft to verify, and the tokens a second which that promises, against a pass for each.

    ``shares`` is how often each token is right, those before it being right. With none the promise is 1. A pass yields
    the token that it would yield without a draft and those of the draft up to the first wrong one (Leviathan et al.
    2023, arXiv 2211.17192, section 3.1, with a share for each token in place of one for all).
    """
    best, best_gain = 0, 1.0
    right = expected = 1.0
    for number, share in enumerate(shares, 1):
        right *= share
        expected += right
        gain = expected / cost.ratio(number)
        if gain > best_gain:
            best, best_gain = number, gain
    return best, best_gain


@dataclass(slots=True)
class Tally:
    """Tokens of drafts of one source that passes verified, and those of them that were right."""

    drafted: int = 0
    accepted: int = 0
