"""Truncation: which entries of a row may be drawn at all. No rule ever removes the most probable entry.

Each rule is a function of a row and, optionally, of the row *before* any truncation. Statistics are taken over the
finite entries of the latter: entropy and standard deviation must not depend on what another rule has cut off.
"""

import math
from typing import Protocol

import numpy as np

from engine.sampling.rows import Indices, entropy, keep_only, kth_largest, log_sum_exp
from engine.types import FloatArray

_SMALL = 4096
"""Rows with at most this many possible entries are sorted completely."""
_REACHES = (6.0, 12.0, 20.0)
"""How far below the largest logit to look for the entries of a nucleus, before all are sorted."""


class Truncation(Protocol):
    """``(logits, before=None)`` to the logits with ``-inf`` in place of what the rule cuts off."""

    def __call__(self, logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        """If ``before`` is None, nothing was cut off from ``logits`` yet."""


def top_k(count: int) -> Truncation:
    """Keep the ``count`` largest logits, ties at the edge kept (Fan et al. 2018, arXiv 1805.04833)."""
    assert count >= 1

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        if count >= len(logits):
            return logits
        return keep_only(logits, logits >= kth_largest(logits, count))

    return apply


def top_p(mass: float) -> Truncation:
    """Keep the smallest set, by descending probability, whose mass is at least ``mass``.

    The token that crosses the threshold is kept; equal probabilities are taken in order of their index. Holtzman et al.
    2020, arXiv 1904.09751. After another rule it acts on what that left, renormalised.
    """
    assert 0 < mass <= 1

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        return logits if mass == 1.0 else keep_only(logits, _nucleus(logits, mass))

    return apply


def min_p(share: float) -> Truncation:
    """Keep ``p >= share * p_max`` (Nguyen et al. 2024, arXiv 2407.01082)."""
    assert 0 < share <= 1

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        # A ratio of probabilities is a difference of logits: no softmax is needed.
        return keep_only(logits, logits >= float(logits.max()) + math.log(share))

    return apply


def top_n_sigma(deviations: float) -> Truncation:
    """Keep ``z >= max(z) - n * std(z)``, with the deviation over the finite entries before truncation.

    Tang et al. 2024, arXiv 2411.07641. The set does not depend on the temperature, which scales both sides.
    """
    assert deviations > 0

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        whole = logits if before is None else before
        finite = whole if np.isfinite(whole).all() else whole[np.isfinite(whole)]
        edge = float(whole.max()) - deviations * float(finite.std(dtype=np.float64))
        return _keep_above(logits, edge)

    return apply


def eta(threshold: float) -> Truncation:
    """Keep ``p >= min(eps, sqrt(eps) * exp(-H))``, H the entropy in nats (Hewitt et al. 2022, arXiv 2210.15191)."""
    assert 0 < threshold <= 1

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        whole = logits if before is None else before
        log_edge = min(math.log(threshold), 0.5 * math.log(threshold) - entropy(whole))
        return _keep_above(logits, log_edge + log_sum_exp(whole))

    return apply


def epsilon(threshold: float) -> Truncation:
    """Keep ``p >= eps`` of the row before truncation (Hewitt et al. 2022, arXiv 2210.15191)."""
    assert 0 < threshold <= 1

    def apply(logits: FloatArray, before: FloatArray | None = None) -> FloatArray:
        whole = logits if before is None else before
        return _keep_above(logits, math.log(threshold) + log_sum_exp(whole))

    return apply


def _keep_above(logits: FloatArray, edge: float) -> FloatArray:
    """Keep entries of at least ``edge``, and the largest entries in any case."""
    # An edge may be below every float32. Then all possible entries are kept.
    lowest = float(np.finfo(logits.dtype).min)
    return keep_only(logits, logits >= max(lowest, min(edge, float(logits.max()))))


def _nucleus(logits: FloatArray, mass: float) -> Indices:
    top = logits.max()
    finite = logits > -np.inf
    if np.count_nonzero(finite) <= _SMALL:
        possible = np.flatnonzero(finite)
        values = logits[possible]
        weights = np.exp((values - top).astype(np.float64))
        reached = _crossing(values, weights, weights.sum(), mass)
        return possible[reached if reached is not None else slice(None)]
    total = np.exp(logits - top).sum(dtype=np.float64)
    for reach in (*_REACHES, math.inf):
        near = np.flatnonzero(logits >= top - logits.dtype.type(reach))
        weights = np.exp((logits[near] - top).astype(np.float64))
        # Sorting is worth it only if the nucleus is certainly among them.
        if reach == math.inf or weights.sum() > mass * total:
            reached = _crossing(logits[near], weights, total, mass)
            if reached is not None:
                return near[reached]
    return np.flatnonzero(finite)


def _crossing(values: FloatArray, weights: np.typing.NDArray[np.float64], total: float, mass: float) -> Indices | None:
    """Positions whose weights, from the largest down, reach ``mass`` of ``total``; None if all are too few."""
    order = np.argsort(-values, kind="stable")
    # Divided by the sum, not through logarithms: four equal entries are a quarter each, not a little less.
    reached = np.cumsum(weights[order] / total)
    last = int(np.searchsorted(reached, mass, side="left"))
    return order[: last + 1] if last < len(order) else None
