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
parameters of its definition. So if the matched tokens hold only (a part of) the name at the cursor, with the dots and
objects before it and white space, then only tokens that continue a name are copied. The share of the other tokens stays
with the model. If more than the name matches, all tokens are copied.

After the cache models of Kuhn and De Mori (1990), of Tu, Su and Devanbu for code (2014), and of Grave, Joulin and
Usunier for neural models (2017). The mixture is made before healing and sampling, which stay exact for it.
"""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engine.sampling.rows import log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray

NOTHING: IdArray = np.zeros(0, np.int32)
_NAME_BYTES = (string.ascii_letters + string.digits + "_").encode() + bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class Copied:
    """``tokens``, ``[C] int32``, follow the last ``length`` tokens in the source, with the ``shares``, ``[C] float64``.

    The shares sum to 1, or to less if some of the tokens must not be copied.
    """

    length: int
    tokens: IdArray
    shares: NDArray[np.float64]


class TokenKind(IntEnum):
    """How a token relates to the name that it ends in. Names consist of letters, digits, ``_`` and bytes of other
    alphabets.
    """

    OTHER = 0
    """It does not end in a name, or has something else before the name."""
    NAME = 1
    """Only a part of a name."""
    CHAIN = 2
    """A part of names with dots, such as ``self.path``."""
    BEGINS_CHAIN = 3
    """The same after white space."""
    BLANK = 4
    """White space."""


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies by matches. ``weights[k - 1]``, in [0, 1), is the weight of a match of k tokens. ``control``, ``[V]
    bool``, marks control tokens; ``kinds``, ``[V] uint8``, holds the `TokenKind` of each token; ``goes_on``, ``[V]
    bool``, marks tokens that can continue a name.
    """

    weights: tuple[float, ...]
    control: NDArray[np.bool_]
    kinds: NDArray[np.uint8]
    goes_on: NDArray[np.bool_]

    def copied(self, ids: IdArray, source: IdArray) -> Copied | None:
        """What follows the end of ``ids``, ``[S] int32``, where it occurs in ``source``, ``[R] int32``; None if it does
        not occur.

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
        shares = counts / counts.sum()
        if length <= self._tokens_of_name(ids):
            goes_on = self.goes_on[tokens]
            tokens, shares = tokens[goes_on], shares[goes_on]
        return Copied(length, tokens, shares) if len(tokens) else None

    def _tokens_of_name(self, ids: IdArray) -> int:
        """How many of the last tokens, up to the longest match, hold only the name at their end and white space."""
        in_name = True
        for count, token in enumerate(reversed(ids[-len(self.weights) :].tolist())):
            kind = self.kinds[token]
            if kind == TokenKind.BLANK and count:
                in_name = False
            elif not in_name or kind not in (TokenKind.NAME, TokenKind.CHAIN, TokenKind.BEGINS_CHAIN):
                return count
            elif kind == TokenKind.BEGINS_CHAIN:
                in_name = False
        return min(len(self.weights), len(ids))

    def mixed(self, ids: IdArray, row: FloatArray, source: IdArray) -> FloatArray:
        """Logits of the mixture. ``row``, ``[V] float32``, has the model's logits after ``ids``; it is not changed."""
        found = self.copied(ids, source)
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
    kinds = np.array([kind_of(data) for data in vocabulary.token_bytes], np.uint8)
    goes_on = np.array([data != data.lstrip(_NAME_BYTES) for data in vocabulary.token_bytes])
    return Copier(tuple(weights), control, kinds, goes_on)


def kind_of(data: bytes) -> TokenKind:
    """The kind of a token that writes ``data``."""
    if not data.strip():
        return TokenKind.BLANK if data else TokenKind.OTHER
    if not data.rstrip(_NAME_BYTES):
        return TokenKind.NAME
    before = data.rstrip(_NAME_BYTES + b".")
    if len(before) == len(data) or before.strip():
        return TokenKind.OTHER
    return TokenKind.BEGINS_CHAIN if before else TokenKind.CHAIN
