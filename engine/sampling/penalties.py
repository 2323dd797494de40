"""Penalties: the logits of tokens that occurred before are lowered. They come first in the chain and never empty a row.

Each takes token ids of the history and returns a function on a row of the vocabulary, ``[V]``. `engine.sampling.chain`
decides what counts as history.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from engine.sampling.rows import Indices, Transform
from engine.types import FloatArray


def repetition_penalty(seen: Iterable[int], strength: float) -> Transform:
    """``z / r`` where z > 0 and ``z * r`` where z < 0, for every id in ``seen``; r = 1 changes nothing.

    Keskar et al. 2019 (CTRL), arXiv 1909.05858, in the form that later implementations share: the paper divides every
    logit, which would favour a negative one.
    """
    assert strength > 0
    indices = _distinct(seen)

    def apply(logits: FloatArray) -> FloatArray:
        result = logits.copy()
        at = indices[indices < len(logits)]
        values, factor = logits[at], logits.dtype.type(strength)
        result[at] = np.where(values > 0, values / factor, values * factor)
        return result

    return apply


def count_penalty(written: Iterable[int], frequency: float, presence: float) -> Transform:
    """``z - count * f - [count > 0] * q``: the frequency and presence penalties of hosted completion services."""
    ids, counts = np.unique(np.fromiter(written, np.intp), return_counts=True)

    def apply(logits: FloatArray) -> FloatArray:
        result = logits.copy()
        inside = ids < len(logits)
        result[ids[inside]] -= (counts[inside] * frequency + presence).astype(logits.dtype)
        return result

    return apply


def no_repeat_ngram(history: Sequence[int], size: int) -> Transform:
    """Rule out each token that would complete an n-gram of ``size`` tokens that is already in ``history``.

    Paulus et al. 2017, arXiv 1705.04304 (there for trigrams in beam search). If that would rule out everything, the row
    stays unchanged, because some token must be chosen.
    """
    banned = _distinct(repeated_after(history, size))

    def apply(logits: FloatArray) -> FloatArray:
        result = logits.copy()
        result[banned[banned < len(logits)]] = -np.inf
        return result if np.isfinite(result.max()) else logits

    return apply


def repeated_after(history: Sequence[int], size: int) -> set[int]:
    """The tokens that followed earlier occurrences of the last ``size - 1`` tokens of ``history``.

    >>> repeated_after([7, 8, 9, 7, 8], 3)
    {9}
    """
    assert size >= 1
    ids = np.asarray(history, np.int64)
    if len(ids) < size:
        return set()
    windows = np.lib.stride_tricks.sliding_window_view(ids, size)  # [S - size + 1, size]
    context = ids[len(ids) - size + 1 :]
    return set(windows[(windows[:, :-1] == context).all(axis=1), -1].tolist())


def _distinct(ids: Iterable[int]) -> Indices:
    found: Indices = np.unique(np.fromiter(ids, np.intp))
    return found
