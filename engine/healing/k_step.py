"""Token healing: which tokens to take back, and the distribution of what may stand in their place.

The functions are pure: token ids and logits in, a `FirstStep` out. A mode has two functions. One plans before the
forward pass: what to drop, and which rows of logits that needs. The other turns those rows into one categorical
distribution. In every mode the decode loop starts with one draw from a `FirstStep`. A mode that considers several
splits of the typed text returns more groups in it.

``k-step`` is the classic algorithm (token healing with a fixed number of steps back): drop the last k tokens of the
typed text, allow only vocabulary entries that extend their bytes, and normalise over those.
"""

import math
from dataclasses import dataclass

import numpy as np

from engine.config import BaselineMode, HealingMode, HealingParams
from engine.healing.prefix_index import PrefixIndex
from engine.sampling import log_softmax, log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray, TokenIds


@dataclass(frozen=True, slots=True)
class HealingPlan:
    """What is taken back: ``dropped`` tokens with the bytes ``typed``. The ``candidates``, ``[C] int32``, extend these
    bytes.

    ``dropped`` 0 (and no candidates) means that nothing is healed: mode ``off``, or nothing extends the tail.
    """

    mode: HealingMode | BaselineMode
    dropped: int
    typed: bytes
    candidates: IdArray
    mixture: float

    def rows(self, prompt_length: int) -> tuple[int, ...]:
        """Ascending indices of the prompt tokens whose logits `first_step` needs."""
        last = prompt_length - 1
        if self.dropped == 0:
            return (last,)
        return (last - self.dropped,) if self.mixture == 1.0 else (last - self.dropped, last)


@dataclass(frozen=True, slots=True)
class Cover:
    """One way to continue: keep ``kept`` tokens of the prompt, write ``extra`` (typed text, split differently) and
    ``token``.

    The first ``typed`` bytes of the token are typed already. ``logprob`` is the natural log-probability.
    """

    kept: int
    extra: TokenIds
    token: int
    typed: int
    logprob: float


@dataclass(frozen=True, slots=True)
class CoverGroup:
    """Covers that keep the same tokens: ``ids`` ``[N] int32`` with ``logprobs`` ``[N] float32``."""

    kept: int
    extra: TokenIds
    typed: int
    ids: IdArray
    logprobs: FloatArray

    def cover(self, index: int) -> Cover:
        """The cover at ``index`` of `ids`."""
        return Cover(self.kept, self.extra, int(self.ids[index]), self.typed, float(self.logprobs[index]))


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One categorical distribution over covers, in place of the first decode step."""

    groups: tuple[CoverGroup, ...]
    surprise_bits: float

    @property
    def logprobs(self) -> FloatArray:
        """``[N] float32`` over all groups in order; probabilities sum to one."""
        return self.groups[0].logprobs if len(self.groups) == 1 else np.concatenate([g.logprobs for g in self.groups])

    @property
    def ids(self) -> IdArray:
        """``[N] int32``, the token of each cover; greedy ties go to the lowest."""
        return self.groups[0].ids if len(self.groups) == 1 else np.concatenate([g.ids for g in self.groups])

    def cover(self, index: int) -> Cover:
        """The cover at ``index`` of `logprobs`."""
        for group in self.groups:
            if index < len(group.ids):
                return group.cover(index)
            index -= len(group.ids)
        raise AssertionError("index outside the distribution")


def plan_healing(
    tail: TokenIds, prompt_length: int, vocabulary: Vocabulary, index: PrefixIndex, params: HealingParams
) -> HealingPlan:
    """Decide how many tokens of ``tail`` (the last ones of the prompt, text only) to take back.

    For k = 1, 2, ... ``k_max``: the first k at which at least ``tau`` vocabulary entries start with the bytes of the
    last k tokens. At least one token of the prompt always stays, because the model needs something before the first
    token.
    """
    nothing = HealingPlan(params.mode, 0, b"", np.zeros(0, np.int32), 1.0)
    if params.mode not in ("k-step", "exact"):
        return nothing
    for dropped in range(1, min(params.k_max, len(tail), prompt_length - 1) + 1):
        typed = vocabulary.bytes_of(tail[-dropped:])
        candidates = index.ids[index.slice(typed)]
        if len(candidates) >= params.tau:
            return HealingPlan(params.mode, dropped, typed, candidates, params.mixture)
    return nothing


def first_step(plan: HealingPlan, prompt_length: int, logits: FloatArray) -> FirstStep:
    """The distribution over covers from the rows that the plan asked for, ``[len(plan.rows), V] float32``.

    ``log p_C(t) = z_t - logsumexp over C of z``; with a mixture below 1 the un-healed continuation joins with weight
    ``1 - mixture``. The surprise is minus log2 of the mass that the model gives to the candidates.
    """
    if plan.dropped == 0:
        return FirstStep((_group(prompt_length, 0, _all_ids(logits[0]), log_softmax(logits[0]), 1.0),), 0.0)
    logprobs = log_softmax(logits[0])[plan.candidates]
    total = log_sum_exp(logprobs)
    if not math.isfinite(total):
        # The model gives every extension probability 0: a uniform distribution still agrees with what is typed.
        logprobs, total = np.zeros(len(plan.candidates), np.float32), math.log(len(plan.candidates))
        surprise = math.inf
    else:
        surprise = max(0.0, -total / math.log(2))
    kept = prompt_length - plan.dropped
    healed = _group(kept, len(plan.typed), plan.candidates, logprobs - logprobs.dtype.type(total), plan.mixture)
    if plan.mixture == 1.0:
        return FirstStep((healed,), surprise)
    unhealed = _group(prompt_length, 0, _all_ids(logits[1]), log_softmax(logits[1]), 1.0 - plan.mixture)
    return FirstStep((healed, unhealed) if plan.mixture > 0.0 else (unhealed,), surprise)


def _group(kept: int, typed: int, ids: IdArray, logprobs: FloatArray, weight: float) -> CoverGroup:
    if weight != 1.0 and weight > 0.0:
        logprobs = logprobs + logprobs.dtype.type(math.log(weight))
    return CoverGroup(kept, (), typed, ids, logprobs)


def _all_ids(row: FloatArray) -> IdArray:
    return np.arange(len(row), dtype=np.int32)
