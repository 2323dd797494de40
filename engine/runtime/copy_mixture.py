"""A cache beside the model: what follows the same tokens elsewhere in the document is likely to follow here.

A model that has seen little text copies badly, though the names of a project can be had from nowhere else. The law of a
model with weights ``w_1 .. w_K`` is, after the tokens h,

    P(t | h) = (1 - w_k) model(t | h) + w_k copied(t | h)

where ``copied`` are the tokens that follow the last k tokens of h wherever these stand in a source, in shares, and k
is the largest up to K for which there is such a place; where there is none, the model's own law stands. The source is
the document without the cursor's line, and not what a completion writes, so that none can feed on itself.

After the cache models of Kuhn and De Mori (1990), of Tu, Su and Devanbu for code (2014), and of Grave, Joulin and
Usunier for neural models (2017). It is a part of the model's law, before healing and sampling, which stay exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sampling.rows import log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray

NOTHING: IdArray = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Copied:
    """``tokens``, ``[C] int32``, follow the last ``length`` tokens there, in ``shares``, ``[C] float64``, sum 1."""

    length: int
    tokens: IdArray
    shares: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Copier:
    """``weights[k - 1]``, in [0, 1), is that of a match of k tokens; ``control`` tells control tokens, ``[V] bool``."""

    weights: tuple[float, ...]
    control: NDArray[np.bool_]

    def copied(self, ids: IdArray, source: IdArray) -> Copied | None:
        """What follows the end of ``ids``, ``[S] int32``, in ``source``, ``[R] int32``; None where it is not there.

        Control tokens are neither copied nor matched as the last token.
        """
        if not len(ids) or self.control[ids[-1]]:
            return None
        places = np.flatnonzero(source[:-1] == ids[-1])
        places = places[~self.control[source[places + 1]]]
        if not len(places):
            return None
        length = 1
        while length < min(len(self.weights), len(ids)):
            longer = places[places >= length]
            longer = longer[source[longer - length] == ids[-1 - length]]
            if not len(longer):
                break
            places, length = longer, length + 1
        tokens, counts = np.unique(source[places + 1], return_counts=True)
        return Copied(length, tokens, counts / counts.sum())

    def mixed(self, ids: IdArray, row: FloatArray, source: IdArray) -> FloatArray:
        """Logits of the mixed law, from ``row``, ``[V] float32``: the model's after ``ids``, which is left as it is."""
        found = self.copied(ids, source)
        if found is None or not (weight := self.weights[found.length - 1]):
            return row
        odds = log_sum_exp(row[: len(self.control)]) + math.log(weight / (1.0 - weight))
        result = row.copy()
        result[found.tokens] = np.logaddexp(row[found.tokens], odds + np.log(found.shares))
        return result


def copier(weights: Sequence[float], vocabulary: Vocabulary) -> Copier | None:
    """The copier of a model with these weights, by the length of a match; None where nothing is to be copied."""
    if not any(weights):
        return None
    control = np.zeros(vocabulary.size, np.bool_)
    control[list(vocabulary.control_ids)] = True
    return Copier(tuple(weights), control)
