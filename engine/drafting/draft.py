"""A draft, and what was learned from earlier drafts: how often they were right, and what a pass costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SourceName = Literal["lookup", "model"]

LEAST_GAIN = 1.05
"""A draft must promise this many times the tokens a second of single steps. It is above 1 because the promise is an
estimate.
"""
_LATEST = 0.04
"""Weight of the latest token in the moving averages, once there are many; it makes about 25 of them count."""
_LATEST_PASS = 0.15
_TAKEN_FOR_GRANTED = 4
"""The values assumed at the start count as this many tokens, or passes."""
_FIRST_EXTRA = 0.3
"""Cost of each further row, as a share of the first, until one is measured."""


@dataclass(frozen=True, slots=True)
class Draft:
    """``tokens`` that may come next. ``grades`` say how sure the source of the draft is of each token. How often tokens
    of a grade are right is learned (`Acceptance`).
    """

    source: SourceName
    tokens: Sequence[int]
    grades: Sequence[int]


NO_DRAFT = Draft("lookup", (), ())


class Acceptance:
    """How often drafted tokens of each grade were right, counted only if those before them in the draft were right."""

    def __init__(self, first: Sequence[float]) -> None:
        """``first`` are the shares assumed at the start, one for each grade."""
        self._shares = list(first)
        self._seen = [_TAKEN_FOR_GRANTED] * len(first)

    def share(self, grade: int) -> float:
        """The share of tokens of this grade that are right, in [0, 1]."""
        return self._shares[grade]

    def note(self, grade: int, *, right: bool) -> None:
        """A token of a grade turned out to be right or wrong."""
        self._seen[grade] += 1
        self._shares[grade] += max(_LATEST, 1 / self._seen[grade]) * (right - self._shares[grade])


class PassCost:
    """The measured time of a pass that verifies ``n`` drafted tokens, relative to a pass over a single token.

    The model is ``1 + n * extra``: on a CPU each further row takes the same share of the products' time.
    """

    def __init__(self) -> None:
        self._single_s = 0.0
        self._extra = _FIRST_EXTRA
        self._seen = _TAKEN_FOR_GRANTED

    @property
    def single_s(self) -> float:
        """Seconds of a pass over one token; 0 if none was measured."""
        return self._single_s

    def ratio(self, drafted: int) -> float:
        """The time of a pass with this many drafted tokens, divided by that of a pass with none."""
        return 1.0 + drafted * self._extra

    def note(self, drafted: int, seconds: float) -> None:
        """A pass over a token and ``drafted`` more took ``seconds``."""
        if not drafted:
            # A pass that was delayed counts as at most three passes.
            seconds = min(seconds, 3 * self._single_s) if self._single_s else seconds
            weight = _LATEST_PASS if self._single_s else 1.0
            self._single_s += weight * (seconds - self._single_s)
        elif self._single_s:
            extra = (seconds / self._single_s - 1.0) / drafted
            self._seen += 1
            self._extra += max(_LATEST_PASS, 1 / self._seen) * (min(max(extra, 0.0), 1.5) - self._extra)


def best_length(shares: Sequence[float], cost: PassCost) -> tuple[int, float]:
    """How many tokens of a draft to verify, and how many times the tokens a second of single steps that promises.

    ``shares`` says how often each token is right if those before it are right. With no tokens the promise is 1. A pass
    yields the token that it would yield without a draft, and the tokens of the draft up to the first wrong one
    (Leviathan et al. 2023, arXiv 2211.17192, section 3.1, with a share for each token instead of one for all).
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
    """How many drafted tokens of one source were verified by a pass, and how many of these were right."""

    drafted: int = 0
    accepted: int = 0
