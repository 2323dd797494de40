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
parameters of its definition. So it counts where a match begins, however long it is. If it begins before the last name
of h, and before the name at the cursor, all is copied. If it begins in one of them, only names go on. White space
before a name is no evidence. A name includes the dots and objects before it.

That a name *ends* is copied too. Where ``t = `` follows in the source, the rest of the name is ``t``, and it ends
there. Then the share goes to all tokens with which it ends: ``t`` itself, and ``t`` with anything behind it that is not
of a name. How it is divided among them is the model's choice, in its own proportions: ``copied`` is there the model's
distribution given that the name ends. If the rest is no token, the longest token that begins it stands in its place. If
the name was complete, those are all tokens that do not begin with a byte of a name. Control tokens are among them: a
completion that ends there ends the name, and without them the model would write on where it wanted to stop. Where the
model holds an ending for impossible, and where nothing may be copied, the share stays with the model.

After the cache models of Kuhn and De Mori (1990), of Tu, Su and Devanbu for code (2014), and of Grave, Joulin and
Usunier for neural models (2017). The mixture is made before healing and sampling, which stay exact for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.token_names import NO_NAME, NameEnding, TokenNames, token_names
from engine.sampling.rows import log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray

NOTHING: IdArray = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Copied:
    """What follows the last ``length`` tokens in the source.

    ``tokens``, ``[C] int32``, do so with the ``shares``, ``[C] float64``. In ``endings``, the name ends there, with the
    ``ending_shares``, ``[E] float64``. All shares sum to 1, or to less if some of what follows must not be copied.
    """

    length: int
    tokens: IdArray
    shares: NDArray[np.float64]
    endings: tuple[NameEnding, ...]
    ending_shares: NDArray[np.float64]


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
        numbers, counts = np.unique(followed[followed >= 0], return_counts=True)
        if not len(numbers):
            return None
        shares = counts / len(places)
        size = len(self.control)
        at = int(np.searchsorted(numbers, size))
        endings = tuple(self.names.endings[number - size] for number in numbers[at:])
        return Copied(length, numbers[:at].astype(np.int32), shares[:at], endings, shares[at:])

    def _allowed(self, ids: IdArray, source: IdArray, places: NDArray[np.intp], length: int, typed: int) -> IdArray:
        """What may be copied from each of ``places``, the last tokens of matches of ``length``: a token, or the ending
        of a name, as in `TokenNames.rests`; -1 if nothing.
        """
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
        rest = self.names.rests[followed] if self.names.ends[ids[-1]] else -1
        return np.where(in_name, rest, followed)

    def mixed(self, ids: IdArray, row: FloatArray, source: IdArray, typed: int = NO_NAME) -> FloatArray:
        """Logits of the mixture. ``row``, ``[V] float32``, has the model's logits after ``ids``; it is not changed."""
        found = self.copied(ids, source, typed)
        return row if found is None else self.mix(row, found)

    def mix(self, row: FloatArray, found: Copied) -> FloatArray:
        """Logits of the mixture of a ``row`` of the model and what was ``found`` after the same tokens."""
        if not (weight := self.weights[found.length - 1]):
            return row
        endings = [
            (ending, float(share), total)
            for ending, share in zip(found.endings, found.ending_shares, strict=True)
            if (total := _log_mass(row, ending)) > -math.inf  # what the model rules out keeps its share with the model
        ]
        copied = float(found.shares.sum()) + sum(share for _, share, _ in endings)
        # What a share of 1 adds, on the scale of the row.
        unit = log_sum_exp(row[: len(self.control)]) + math.log(weight) - math.log1p(-weight * copied)
        result = row.copy()
        for ending, share, total in endings:
            factor = unit + math.log(share) - total
            # No token is in two endings; but what one begins with may begin others, and may be copied for itself.
            result[ending.tokens] += np.float32(np.logaddexp(0.0, factor))
            if (token := ending.beginning) >= 0:
                result[token] = np.logaddexp(result[token], row[token] + factor)
        result[found.tokens] = np.logaddexp(result[found.tokens], unit + np.log(found.shares))
        return result


def _log_mass(row: FloatArray, ending: NameEnding) -> float:
    """The log of the probability of an ending, on the scale of the row."""
    total = log_sum_exp(row[ending.tokens])
    return total if ending.beginning < 0 else float(np.logaddexp(total, row[ending.beginning]))


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
