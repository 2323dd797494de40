"""Temperature: fixed, or following the row. Each returns a function on a row, or the temperature that it would use."""

import math
from typing import Literal

import numpy as np

from engine.sampling.rows import Transform, entropy, entropy_and_varentropy_bits, keep_only, log_softmax
from engine.types import FloatArray

Verdict = Literal["argmax", "hotter", "branch", "hotter-narrower"]

_PLAIN_DIVISION = 1e-30
"""Above this a temperature is a normal number in single precision."""


def temperature(value: float) -> Transform:
    """``z / T`` for T > 0. (T = 0 is greedy, which the chooser handles.)"""
    assert value > 0

    def apply(logits: FloatArray) -> FloatArray:
        # Shifted first, so that the maximum stays at 0 however small T is. Entries too far below it become -inf.
        shifted: FloatArray = logits - logits.max()
        if value == 1.0:
            return shifted
        with np.errstate(over="ignore"):
            if value > _PLAIN_DIVISION:
                shifted /= shifted.dtype.type(value)
                return shifted
            return (shifted.astype(np.float64) / value).astype(logits.dtype)

    return apply


def dynamic(logits: FloatArray, value: float) -> FloatArray:
    """`temperature` for a computed ``value``. If that is 0, only the largest entries stay."""
    if value > 0.0:
        return temperature(value)(logits)
    return keep_only(logits - logits.max(), logits == logits.max())


def edt_temperature(logits: FloatArray, start: float, base: float, theta: float) -> float:
    """``T = T0 * N ** (theta / H)``, H the entropy in nats: low if the model is sure, near T0 if it is not.

    Zhang et al. 2024, arXiv 2403.14541. ``base`` is N, at most 1. A row with one possible entry has T = 0 (the limit).
    """
    shannon = entropy(logits)
    return start * base ** (theta / shannon) if shannon > 0 else (start if base == 1.0 or theta == 0.0 else 0.0)


def adapt_temperature(line_began: bool, at_start: float, elsewhere: float) -> float:
    """Higher for the first token of a line, where a program may take another direction, and lower within the line.

    Zhu et al. 2023 (AdapT), arXiv 2309.02772, calls the first token of a code block challenging. We cannot parse an
    unfinished file in a hundred languages, so every line start counts.
    """
    return at_start if line_began else elsewhere


def kl_divergence(logits: FloatArray, other: FloatArray) -> float:
    """``sum p * log(p / q)`` in nats of two rows; infinite if q rules out what p allows."""
    left, right = log_softmax(logits), log_softmax(other)
    if not np.isfinite(left).all():
        left, right = left[left > -np.inf], right[left > -np.inf]
    return max(0.0, float(np.dot(np.exp(left), left - right)))


def kl_temperature(divergence: float, start: float, sigma: float) -> float:
    """``T = T0 * 0.5 ** (KL / sigma)``: low if the context decides what comes next.

    Chang et al. 2023, arXiv 2306.01286; the two distributions are those with the retrieved context and without it.
    """
    result: float = start * 0.5 ** (divergence / sigma)
    return result


def gate(logits: FloatArray, entropy_bits: float, varentropy_bits: float) -> Verdict:
    """Which of four things to do by entropy and varentropy, each low (at most its threshold) or high.

    Low, low: take the largest. High, low: draw at a higher temperature. Low, high: a few good options, look at each.
    High, high: draw at a higher temperature from fewer entries. The idea is that of the public *entropix* sampler (no
    paper). It has two thresholds for each quantity, with ordinary sampling between them. We have one, so every row
    falls into exactly one of the four.
    """
    shannon, variance = entropy_and_varentropy_bits(logits)
    if shannon <= entropy_bits:
        return "argmax" if variance <= varentropy_bits else "branch"
    return "hotter" if variance <= varentropy_bits else "hotter-narrower"


def is_chaotic(logits: FloatArray, ratio: float) -> bool:
    """Whether the second probability is at least ``ratio`` of the first."""
    first = int(np.argmax(logits))
    edge = logits[first] + math.log(ratio)
    return int(np.count_nonzero(logits >= edge)) >= 2
