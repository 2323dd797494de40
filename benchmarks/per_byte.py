"""What a half token costs for each byte of it that was typed: a few numbers a vocabulary.

Only places inside an identifier and inside a token count. At place *i*, *b* bytes of the token are typed. *Lost* is 1
if the prompt cut at the cursor does not complete the identifier, else 0. *Gained* is what healing adds: 1 if only the
healed prompt completes it, -1 if only the cut one does, else 0. From these come

- the means of lost and gained, the price of a token that is begun, however much of it is typed;
- the sum of gained over the sum of lost, the share of the loss that healing gives back;
- the slopes of lost and gained over *b* (least squares), which is the loss and the gain **per byte**: how many
  identifiers of a hundred are lost, or given back, more with each further byte.

Intervals are 95 %, from a bootstrap over places. Each draw takes lost, gained and *b* of a place together. So the
numbers of one vocabulary are paired. If every byte made the loss larger, its slope would be above 0; if one byte is
enough to lose all, it is 0 and the mean says everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines import DRAWS, OURS, PEER, Estimate, Result
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches

HEAD = (
    "| vocabulary | token | places | bytes typed, mean | lost | gained | of the loss | lost, a byte more "
    "| gained, a byte more |\n|---|---|---|---|---|---|---|---|---|"
)
_Numbers: TypeAlias = NDArray[np.float64]
_Statistic: TypeAlias = Callable[[_Numbers, _Numbers, _Numbers], _Numbers]


@dataclass(frozen=True, slots=True)
class PerByte:
    """The numbers of one vocabulary, in per cent or points of ``places`` places; slopes are points a byte.

    A slope is 0 where all places have the same number of bytes typed, ``returned`` where nothing is lost.
    """

    places: int
    typed: float
    lost: Estimate
    gained: Estimate
    returned: Estimate
    lost_a_byte: Estimate
    gained_a_byte: Estimate

    def row(self, name: str, token: str) -> str:
        """One line of the table."""
        numbers = (self.lost, self.gained, self.returned)
        cells = [f"{each.mean:.0f} % [{each.low:.0f}, {each.high:.0f}]" for each in numbers]
        slopes = (self.lost_a_byte, self.gained_a_byte)
        cells += [f"{each.mean:+.1f} [{each.low:+.1f}, {each.high:+.1f}]" for each in slopes]
        return f"| {name} | {token} | {self.places} | {self.typed:.1f} | {' | '.join(cells)} |"


def per_byte(cases: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> PerByte | None:
    """The numbers of cases that have both results; None if none of them is inside a token."""
    inside = [case for case in cases if results[case.id, OURS].typed_bytes > 0]
    if not inside:
        return None
    typed = np.array([results[case.id, OURS].typed_bytes for case in inside], np.float64)
    right = {mode: np.array([_is_right(case, results[case.id, mode]) for case in inside]) for mode in (OURS, PEER)}
    return estimates(typed, 1.0 - right[PEER], right[OURS] - right[PEER])


def estimates(typed: _Numbers, lost: _Numbers, gained: _Numbers) -> PerByte:
    """The numbers of places of shape ``[places]``, with a bootstrap that draws places."""
    drawn = np.random.default_rng(0).integers(0, len(typed), (DRAWS, len(typed)))

    def estimate(statistic: _Statistic) -> Estimate:
        draws = statistic(typed[drawn], lost[drawn], gained[drawn])
        low, high = np.quantile(draws, [0.025, 0.975])
        return Estimate(float(statistic(typed, lost, gained)), float(low), float(high))

    return PerByte(
        places=len(typed),
        typed=float(typed.mean()),
        lost=estimate(lambda _, lost, __: 100 * lost.mean(axis=-1)),
        gained=estimate(lambda _, __, gained: 100 * gained.mean(axis=-1)),
        returned=estimate(lambda _, lost, gained: 100 * _ratio(gained.sum(axis=-1), lost.sum(axis=-1))),
        lost_a_byte=estimate(lambda typed, lost, _: 100 * slope(typed, lost)),
        gained_a_byte=estimate(lambda typed, _, gained: 100 * slope(typed, gained)),
    )


def slope(typed: _Numbers, values: _Numbers) -> _Numbers:
    """The slope of least squares over the last axis; 0 where ``typed`` does not vary."""
    centred = typed - typed.mean(axis=-1, keepdims=True)
    return _ratio((centred * values).sum(axis=-1), (centred**2).sum(axis=-1))


def _ratio(above: _Numbers, below: _Numbers) -> _Numbers:
    """0 where ``below`` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _is_right(case: Case, result: Result) -> float:
    return float(identifier_matches(Outcome(case, result.text, 0.0)))
