"""Pure functions on one row of logits, ``[N] float32``, which may hold ``-inf`` (never drawn) but not only that.

N is the vocabulary, or the number of covers in the healed first step: truncation acts on that categorical
distribution once, in place of a decode step (``docs/healing.md``).
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from engine.types import FloatArray

Transform: TypeAlias = Callable[[FloatArray], FloatArray]


def log_sum_exp(logits: FloatArray) -> float:
    """``log(sum(exp(z)))`` of a row, natural, summed in float64; ``-inf`` where every entry is."""
    top = float(logits.max())
    if not math.isfinite(top):
        return top
    return top + math.log(float(np.exp(logits - logits.dtype.type(top)).sum(dtype=np.float64)))


def log_softmax(logits: FloatArray) -> FloatArray:
    """Natural log-probabilities of a row, ``[N]``, in its own precision (float64 stays float64)."""
    shifted = logits - logits.max()
    result: FloatArray = shifted - logits.dtype.type(log_sum_exp(shifted))
    return result


def temperature(value: float) -> Transform:
    """``z / T`` for T > 0. (T = 0 is greedy, which the chooser handles.)"""
    assert value > 0

    def apply(logits: FloatArray) -> FloatArray:
        # Shifted first, so that the maximum stays at 0 however small T is; what is too far below it becomes -inf.
        with np.errstate(over="ignore"):
            result: FloatArray = ((logits - logits.max()).astype(np.float64) / value).astype(logits.dtype)
        return result

    return apply


def top_k(count: int) -> Transform:
    """Keep the ``count`` largest logits, ties at the edge kept (Fan et al. 2018, arXiv 1805.04833)."""
    assert count >= 1

    def apply(logits: FloatArray) -> FloatArray:
        if count >= len(logits):
            return logits
        edge = np.partition(logits, -count)[-count]
        return _masked(logits, logits >= edge)

    return apply


def top_p(mass: float) -> Transform:
    """Keep the smallest set, by descending probability, whose mass is at least ``mass``.

    The token that crosses is kept; equal probabilities enter in order of their index. Holtzman et al. 2020,
    arXiv 1904.09751.
    """
    assert 0 < mass <= 1

    def apply(logits: FloatArray) -> FloatArray:
        if mass == 1.0:
            return logits
        # Divided by the sum, not by way of logarithms: four equal entries are a quarter each, not a little less.
        weights = np.exp((logits - logits.max()).astype(np.float64))
        order = np.argsort(-logits, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(weights[order] / weights.sum())[:-1]])
        keep = np.zeros(len(logits), np.bool_)
        keep[order[before < mass]] = True
        return _masked(logits, keep)

    return apply


def _masked(logits: FloatArray, keep: np.typing.NDArray[np.bool_]) -> FloatArray:
    result: FloatArray = np.where(keep, logits, logits.dtype.type(-np.inf))
    return result
