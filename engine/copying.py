"""A cache beside the model: what followed the same tokens further up is likely to follow again.

A model that has seen little text copies badly, though the names of a project can be had from nowhere else. The law of a
model with weights ``w_1 .. w_K`` is, after the tokens h,

    P(t | h) = (1 - w_k) model(t | h) + w_k copied(t | h)

where ``copied`` are the tokens that followed the last k tokens of h wherever these stood in h before, in shares, and k
is the largest up to K for which there is such a place; where there is none, the model's own law stands. Nothing is
copied from the line that is being written, so a completion cannot feed on itself within a line; nor are control tokens.

After the cache models of Kuhn and De Mori (1990), of Tu, Su and Devanbu for code (2014), and of Grave, Joulin and
Usunier for neural models (2017). It is a part of the model's law, before healing and sampling, which stay exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sampling.rows import log_sum_exp
from engine.types import FloatArray, IdArray
from engine.vocabulary import Vocabulary

NOTHING: IdArray = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Copied:
    """``tokens``, ``[C] int32``, followed the last ``length`` tokens before, in ``shares``, ``[C] float64``, sum 1."""

    length: int
    tokens: IdArray
    shares: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Copier:
    """``weights[k - 1]``, in [0, 1), is that of a match of k tokens; the masks are ``[V] bool``."""

    weights: tuple[float, ...]
    breaks: NDArray[np.bool_]
    control: NDArray[np.bool_]

    def copied(self, ids: IdArray, outside: IdArray = NOTHING) -> Copied | None:
        """What followed the end of ``ids``, ``[S] int32``, in the lines before; None where it did not stand there.

        ``outside``, ``[R] int32``, is more text to copy from.
        """
        if not len(ids) or self.control[ids[-1]]:
            return None
        ends = np.flatnonzero(self.breaks[ids])
        # What follows a match stands here at the latest.
        last = len(outside) + int(ends[-1]) if len(ends) else max(0, len(outside) - 1)
        ids = np.concatenate([outside, ids]) if len(outside) else ids
        places = np.flatnonzero(ids[:last] == ids[-1])
        places = places[~self.control[ids[places + 1]]]
        if not len(places):
            return None
        length = 1
        while length < len(self.weights):
            longer = places[places >= length]
            longer = longer[ids[longer - length] == ids[-1 - length]]
            if not len(longer):
                break
            places, length = longer, length + 1
        tokens, counts = np.unique(ids[places + 1], return_counts=True)
        return Copied(length, tokens, counts / counts.sum())

    def mixed(self, ids: IdArray, row: FloatArray, outside: IdArray = NOTHING) -> FloatArray:
        """Logits of the mixed law, from ``row``, ``[V] float32``: the model's after ``ids``, which is left as it is."""
        found = self.copied(ids, outside)
        if found is None or not (weight := self.weights[found.length - 1]):
            return row
        odds = log_sum_exp(row[: len(self.breaks)]) + math.log(weight / (1.0 - weight))
        result = row.copy()
        result[found.tokens] = np.logaddexp(row[found.tokens], odds + np.log(found.shares))
        return result


def copier(weights: Sequence[float], vocabulary: Vocabulary) -> Copier | None:
    """For a model's weights; None where it has none."""
    if not any(weights):
        return None
    breaks = np.array([b"\n" in data for data in vocabulary.token_bytes])
    control = np.zeros(vocabulary.size, np.bool_)
    control[list(vocabulary.control_ids)] = True
    return Copier(tuple(weights), breaks, control)
