"""A cache beside the model: what follows the same tokens elsewhere in the document is likely to follow here.

A model that has seen little text copies badly, although the names of a project can only come from its documents. With
weights ``w_1 .. w_K``, its distribution after the tokens h is

    P(t | h) = (1 - w_k) model(t | h) + w_k copied(t | h)

``copied`` is the distribution of the tokens that follow the last k tokens of h wherever these stand in a source. k is
the largest number up to K for which there is such a place; if there is none, the model's own distribution is used. The
source is the document without the cursor's line. What a completion writes is never in it, so a completion cannot copy
itself.

A name is copied, but what follows it is not: a name is used again, but seldom in the same way. After ``total_amount =
10``, the next ``total_amount`` is usually not followed by `` = 10``, and a call of a function is not followed by the
parameters of its definition. So it counts where a match begins, however long it is. If it begins in the last name of h,
or in the name at the cursor, only the rest of a name is copied; of a token such as ``t = ``, its beginning ``t``. White
space before a name is no evidence. The share of what is not copied stays with the model. If a match begins before such
a name, all is copied. A name includes the dots and objects before it.

After the cache models of Kuhn and De Mori (1990), of Tu, Su and Devanbu for code (2014), and of Grave, Joulin and
Usunier for neural models (2017). The mixture is made before healing and sampling, which stay exact for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.token_names import NO_NAME, TokenNames, token_names
from engine.sampling.rows import log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray

NOTHING: IdArray = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Copied:
    """``tokens``, ``[C] int32``, follow the last ``length`` tokens in the source, with the ``shares``, ``[C] float64``.

    The shares sum to 1, or to less if some of the tokens must not be copied.
    """

    length: int
    tokens: IdArray
    shares: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies by matches. ``weights[k - 1]``, in [0, 1), is the weight of a match of k tokens. ``control``, ``[V]
    bool``, marks control tokens; ``names`` knows where names stand in tokens.
    """

    weights: tuple[float, ...]
    control: NDArray[np.bool_]
    names: TokenNames

    def copied(self, ids: IdArray, source: IdArray, typed: int = NO_NAME) -> Copied | None:
        """What follows the end of ``ids``, ``[S] int32``, where it occurs in ``source``, ``[R] int32``; None if it does
        not occur.

        ``typed`` is the index of the token in which the name at the cursor begins. Control tokens are neither copied
        nor matched as the last token.
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
        followed = self._allowed(ids, source, places, length, typed)
        tokens, counts = np.unique(followed[followed >= 0], return_counts=True)
        return Copied(length, tokens.astype(np.int32), counts / len(places)) if len(tokens) else None

    def _allowed(self, ids: IdArray, source: IdArray, places: NDArray[np.intp], length: int, typed: int) -> IdArray:
        """What may be copied from each of ``places``, the last tokens of matches of ``length``; -1 if nothing."""
        followed = source[places + 1]
        starts = {self.names.last_name(ids), typed if typed < len(ids) else NO_NAME} - {NO_NAME}
        if not starts:
            return followed
        names = [self.names.name_from(ids, start) for start in starts]
        # The matches are made longer as far as needed to see where they begin.
        before = self.names.last_written(ids, min(starts))
        lengths = _lengths(ids, source, places, length, len(ids) - before)
        begins = self.names.first_written(ids, len(ids) - lengths)
        in_name = np.zeros(len(places), np.bool_)
        for name in names:
            in_name |= (begins >= name.start + self.names.has_more[ids[name.start]]) & (begins <= name.end)
        rest = self.names.beginnings[followed] if self.names.ends[ids[-1]] else -1
        return np.where(in_name, rest, followed)

    def mixed(self, ids: IdArray, row: FloatArray, source: IdArray, typed: int = NO_NAME) -> FloatArray:
        """Logits of the mixture. ``row``, ``[V] float32``, has the model's logits after ``ids``; it is not changed."""
        found = self.copied(ids, source, typed)
        if found is None or not (weight := self.weights[found.length - 1]):
            return row
        weight *= float(found.shares.sum())
        odds = log_sum_exp(row[: len(self.control)]) + math.log(weight / (1.0 - weight))
        result = row.copy()
        result[found.tokens] = np.logaddexp(row[found.tokens], odds + np.log(found.shares / found.shares.sum()))
        return result


def copier(weights: Sequence[float], vocabulary: Vocabulary) -> Copier | None:
    """The copier of a model with these weights, one for each length of a match; None if nothing is to be copied."""
    if not any(weights):
        return None
    control = np.zeros(vocabulary.size, np.bool_)
    control[list(vocabulary.control_ids)] = True
    return Copier(tuple(weights), control, token_names(vocabulary.token_bytes))


def _lengths(ids: IdArray, source: IdArray, places: NDArray[np.intp], length: int, most: int) -> NDArray[np.intp]:
    """How many tokens the match at each of ``places`` has, at most ``most``; all have at least ``length``."""
    lengths = np.full(len(places), length, np.intp)
    alive = np.arange(len(places))
    for longer in range(length, most):
        ends = places[alive]
        alive = alive[(ends >= longer) & (source[ends - longer] == ids[-1 - longer])]
        if not len(alive):
            break
        lengths[alive] = longer + 1
    return lengths
