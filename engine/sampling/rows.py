"""One row of logits: sums in the log domain, entropy, and cutting a row down to a set.

A row is ``[N]``, float32 or float64; the type is kept. It may hold ``-inf`` (never drawn), but at least one finite
entry. N is the size of the vocabulary, or the number of covers in the healed first step.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray

Transform: TypeAlias = Callable[[FloatArray], FloatArray]
Indices: TypeAlias = NDArray[np.intp]

_REACHES = (6.0, 12.0, 20.0)
"""How far below the largest logit to look for a few large ones, before all are partitioned."""
_UNDERFLOW = -1000.0
"""A logit this far below the largest has probability 0 in double precision too."""


def log_sum_exp(logits: FloatArray) -> float:
    """``log(sum(exp(z)))`` of a row, natural, summed in the row's own precision; ``-inf`` if every entry is."""
    top = float(logits.max())
    if not math.isfinite(top):
        return top
    return top + math.log(float(np.exp(logits - logits.dtype.type(top)).sum()))


def log_softmax(logits: FloatArray) -> FloatArray:
    """Natural log-probabilities of a row, ``[N]``, in its own precision (float64 stays float64)."""
    shifted = logits - logits.max()
    result: FloatArray = shifted - logits.dtype.type(log_sum_exp(shifted))
    return result


def log_probability(logits: FloatArray, index: int) -> float:
    """The entry at ``index`` of `log_softmax`, without the others."""
    return float(log_probabilities(logits, np.array([index]))[0])


def log_probabilities(logits: FloatArray, indices: Indices) -> FloatArray:
    """The entries at ``indices`` of `log_softmax`, ``[K]``, without the others."""
    # Every decode step does this, so only one array is allocated.
    shifted = logits - logits.max()
    values = shifted[indices]
    np.exp(shifted, out=shifted)
    result: FloatArray = values - logits.dtype.type(math.log(float(shifted.sum())))
    return result


def entropy(logits: FloatArray) -> float:
    """Shannon entropy of a row in nats, over its finite entries."""
    return _moments(logits)[0]


def entropy_and_varentropy_bits(logits: FloatArray) -> tuple[float, float]:
    """Entropy in bits and varentropy (the variance of the surprise) in bits squared, over the finite entries."""
    shannon, variance = _moments(logits)
    return shannon / math.log(2), variance / math.log(2) ** 2


def top_two(logits: FloatArray) -> tuple[int, int]:
    """Indices of the two largest entries, the larger first, ties to the lower index; the same index twice if only one
    is finite.
    """
    first = int(np.argmax(logits))
    rest = logits.copy()
    rest[first] = -np.inf
    second = int(np.argmax(rest))
    return (first, second) if np.isfinite(rest[second]) else (first, first)


def top_two_gap(logits: FloatArray) -> float:
    """Probability of the most probable entry minus that of the second; 1 if there is no second."""
    first, second = top_two(logits)
    total = log_sum_exp(logits)
    top = math.exp(float(logits[first]) - total)
    return top if first == second else top - math.exp(float(logits[second]) - total)


def largest(logits: FloatArray, count: int) -> Indices:
    """Indices of the ``count`` largest finite entries (fewer if there are fewer), the largest first, ties in order."""
    near = support_of(logits)
    if count < len(near):
        near = np.flatnonzero(logits >= kth_largest(logits, count))
    order: Indices = near[np.argsort(-logits[near], kind="stable")[:count]]
    return order


def kth_largest(logits: FloatArray, count: int) -> float:
    """The ``count``-th largest entry, 1 <= count <= N."""
    # In real rows few entries are near the largest, and only those need to be partitioned.
    top = logits.max()
    for reach in _REACHES:
        near = logits >= top - reach
        found = int(np.count_nonzero(near))
        if found > len(logits) // 8:
            break
        if found >= count:
            logits = logits[near]
            break
    return float(np.partition(logits, len(logits) - count)[len(logits) - count])


def support_of(logits: FloatArray) -> Indices:
    """Ascending indices of the entries that can be drawn."""
    return np.flatnonzero(logits > -np.inf)


def keep_only(logits: FloatArray, kept: Indices | NDArray[np.bool_]) -> FloatArray:
    """The row with ``-inf`` everywhere except at ``kept`` (indices, or a mask)."""
    # Filling a row and copying the few that stay is several times faster than choosing between two rows.
    result = np.full(len(logits), -np.inf, logits.dtype)
    indices = np.flatnonzero(kept) if kept.dtype == np.bool_ else kept
    result[indices] = logits[indices]
    return result


def _moments(logits: FloatArray) -> tuple[float, float]:
    """Mean and variance of ``-log p`` under p, in nats."""
    shifted: NDArray[Any] = np.maximum(logits - logits.max(), logits.dtype.type(_UNDERFLOW))
    weights = np.exp(shifted)
    total = float(weights.sum(dtype=np.float64))
    mean = float(np.dot(weights, shifted)) / total
    shifted -= logits.dtype.type(mean)
    variance = float(np.dot(weights, shifted * shifted)) / total
    # Rounding must not make the entropy of a certain row negative.
    return max(0.0, math.log(total) - mean), max(0.0, variance)
