"""The healed first step of a prompt, model calls included: plan, forward passes, one distribution over covers."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.config import HealingParams
from engine.healing.constrained import constrained_first_step, tokens_to_drop
from engine.healing.exact import (
    NEGLIGIBLE,
    ExactPlan,
    ScoredRows,
    branch_bounds,
    branch_groups,
    branch_sequences,
    exact_first_step,
    is_canonical,
    log_weight,
    may_be_canonical,
    path_groups,
    plan_exact,
    score_path,
)
from engine.healing.k_step import Cover, CoverGroup, FirstStep, first_step, plan_healing
from engine.healing.prefix_index import PrefixIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import Chooser, log_sum_exp
from engine.text.tokenizer import Tokenizer
from engine.types import FloatArray, IdArray

SETTLED = 1e-3
"""Before a draw, covers are verified from the most probable down, until the unverified ones hold at most this
probability...
"""
SETTLED_CHECKS = 64
"""...or this many were verified. A cover drawn from the rest is verified when it is drawn."""


@dataclass(frozen=True, slots=True)
class Healed:
    """A `FirstStep` with its cost: ``reused`` prompt tokens came from the cache, ``model_seconds`` were spent in
    forward passes.

    ``is_valid`` says whether a cover is canonical. It is called only for covers that are about to be used.
    """

    first: FirstStep
    reused: int
    model_seconds: float
    is_valid: Callable[[Cover], bool]


@dataclass(slots=True)
class _Model:
    """The cache, and the time that its passes take."""

    cache: TokenCache
    size: int
    checkpoint: Checkpoint
    aside: bool
    seconds: float = 0.0
    reused: list[int] = field(default_factory=list)

    def rows(self, ids: IdArray, rows: tuple[int, ...]) -> FloatArray:
        """Logits after ``rows`` of ``ids``, ``[K, V]``.

        Rows of the head beyond the vocabulary are padding. They are cut off here and in the decode loop, so they are
        never chosen.
        """
        started = time.perf_counter()
        logits, reused = self.cache.prefill(ids, rows, self.checkpoint, aside=self.aside)
        self.seconds += time.perf_counter() - started
        self.reused.append(reused)
        return logits[:, : self.size]

    def scored(self, ids: IdArray, rows: tuple[int, ...]) -> ScoredRows:
        """`rows` with their sums."""
        logits = tuple(self.rows(ids, rows))
        return self._with_totals([ids[: row + 1] for row in rows], logits)

    def scored_along(self, branches: Sequence[Sequence[IdArray]]) -> list[ScoredRows]:
        """The rows after each sequence of each branch. A sequence is the one before it with one token more.

        Short branches grow together: what they need at one depth is run as one batch. A branch that is run alone takes
        one pass whatever its length, and the rows of its beginnings are known afterwards. So branches that are too long
        for a batch are run alone, the longest first.
        """
        if not branches:
            return []
        depths = range(max(map(len, branches)) + 1)
        leaves = [sequences for sequences in branches if not any(_goes_on(other, sequences) for other in branches)]
        shared = min(depths, key=lambda depth: depth + sum(len(sequences) > depth for sequences in leaves))
        together = [number for number, sequences in enumerate(branches) if len(sequences) <= shared]
        found: list[list[FloatArray]] = [[] for _ in branches]
        started = time.perf_counter()
        for depth in range(shared):
            deep = [number for number in together if depth < len(branches[number])]
            needed = [branches[number][depth] for number in deep]
            rows = self.cache.rows_after(needed, self.checkpoint, aside=self.aside)
            for number, row in zip(deep, rows, strict=True):
                found[number].append(row[: self.size])
        self.seconds += time.perf_counter() - started
        alone = [number for number in range(len(branches)) if number not in together]
        for number in sorted(alone, key=lambda number: -len(branches[number])):
            sequences = branches[number]
            found[number] = list(self.rows(sequences[-1], tuple(len(ids) - 1 for ids in sequences)))
        return [self._with_totals(ids, tuple(rows)) for ids, rows in zip(branches, found, strict=True)]

    def _with_totals(self, sequences: Sequence[IdArray], logits: tuple[FloatArray, ...]) -> ScoredRows:
        """The cache remembers the sums as it remembers the rows."""
        totals = [
            self.cache.remember_total(ids, partial(log_sum_exp, row))
            for ids, row in zip(sequences, logits, strict=True)
        ]
        return ScoredRows(logits, tuple(totals))


def _goes_on(longer: Sequence[IdArray], shorter: Sequence[IdArray]) -> bool:
    """Whether one branch has all sequences of another, and more."""
    end = len(shorter[-1])
    return end < len(longer[-1]) and np.array_equal(longer[-1][:end], shorter[-1])


def heal(
    prompt: Prompt,
    cache: TokenCache,
    tokenizer: Tokenizer,
    index: PrefixIndex,
    params: HealingParams,
    checkpoint: Checkpoint,
    *,
    best_only: bool,
    aside: bool = False,
) -> Healed:
    """The distribution of what may follow ``prompt``. ``best_only`` says that only the most probable cover is wanted.

    ``aside`` is for a second prompt beside another (`TokenCache.prefill`).

    Raises `engine.errors.Cancelled`, `engine.errors.DeviceError` or `engine.runtime.checkpoint.BudgetExceeded`.
    """
    # 1. Constrained decoding as in other tools, if it was asked for and finds a cover.
    model = _Model(cache, tokenizer.vocabulary.size, checkpoint, aside)
    if params.mode == "constrained":
        first = _constrained(prompt, model, tokenizer, index)
        if first is not None:
            return Healed(first, model.reused[0], model.seconds, _always)
    # 2. Every way in which the typed text can continue, weighted by the model.
    plan = plan_exact(prompt.tail, len(prompt.ids), tokenizer, index) if params.mode == "exact" else None
    if plan is not None:
        first, is_valid = _exact(prompt, plan, model, tokenizer, best_only=best_only)
    else:
        # 3. A fixed number of tokens taken back, or none; also if exact healing finds no cover.
        simple = plan_healing(prompt.tail, len(prompt.ids), tokenizer.vocabulary, index, params)
        logits = model.rows(prompt.ids, simple.rows(len(prompt.ids)))
        first, is_valid = first_step(simple, len(prompt.ids), logits), _always
    return Healed(first, model.reused[0], model.seconds, is_valid)


def choose_covers(healed: Healed, chooser: Chooser, count: int) -> list[Cover]:
    """Up to ``count`` different canonical covers, in the order in which they were chosen.

    Covers are verified lazily: a chosen cover that is not canonical is removed, and the choice is made again. For a
    draw that is rejection sampling, which does not change the distribution over the canonical ones. Draws are made and
    verified one by one, so that the first draw does not depend on how many are wanted.
    """
    first = healed.first
    logprobs, ids = first.logprobs.copy(), first.ids
    verdicts: dict[int, bool] = {}

    def strike_out(indices: list[int]) -> bool:
        for index in indices:
            if index not in verdicts:
                verdicts[index] = healed.is_valid(first.cover(index))
        wrong = [index for index in indices if not verdicts[index]]
        logprobs[wrong] = -np.inf
        return bool(wrong)

    draws = chooser.generator is not None
    if draws and healed.is_valid is not _always:
        _settle(logprobs, strike_out)
    taken: list[int] = []
    while len(taken) < count and np.isfinite(logprobs.max()):
        chosen = chooser.choose_distinct(logprobs, 1 if draws else count, ids, taken=taken)
        if strike_out(chosen):
            continue
        taken += chosen
        if not draws or not chosen:
            break
    return [first.cover(index) for index in taken]


def _constrained(prompt: Prompt, model: _Model, tokenizer: Tokenizer, index: PrefixIndex) -> FirstStep | None:
    dropped = min(tokens_to_drop(prompt.tail, tokenizer.vocabulary, index), len(prompt.ids) - 1)
    if not dropped:
        return None
    return constrained_first_step(
        prompt.ids, dropped, tokenizer.vocabulary, index, lambda ids: model.rows(ids, (len(ids) - 1,))[0]
    )


def _exact(
    prompt: Prompt, plan: ExactPlan, model: _Model, tokenizer: Tokenizer, *, best_only: bool
) -> tuple[FirstStep, Callable[[Cover], bool]]:
    scores = score_path(plan, model.scored(prompt.ids, plan.rows))
    groups = path_groups(plan, scores)
    verdicts: dict[tuple[int, ...], bool] = {}

    def is_valid(cover: Cover) -> bool:
        key = (cover.kept, *cover.extra, cover.token)
        if key not in verdicts:
            verdicts[key] = is_canonical(plan, cover, tokenizer)
        return verdicts[key]

    # A branch that cannot be the most probable, or holds next to no probability, is not worth a forward pass.
    least = _best(groups, is_valid) if best_only else log_weight(groups) + math.log(NEGLIGIBLE)
    branches = [
        branch
        for bound, branch in branch_bounds(plan, scores)
        if bound > least and may_be_canonical(plan, branch, tokenizer)
    ]
    rows = model.scored_along([branch_sequences(prompt.ids, plan, branch) for branch in branches])
    groups += branch_groups(plan, scores, branches, rows)
    return exact_first_step(groups), is_valid


def _best(groups: list[CoverGroup], is_valid: Callable[[Cover], bool]) -> float:
    """Log-weight of the most probable canonical cover of ``groups``, ``-inf`` if there is none."""
    best = -math.inf
    for group in groups:
        weights = group.logprobs.copy()
        while float(weights.max()) > best:
            top = int(np.argmax(weights))
            if is_valid(group.cover(top)):
                best = float(weights[top])
            weights[top] = -np.inf
    return best


def _settle(logprobs: FloatArray, strike_out: Callable[[list[int]], bool]) -> None:
    left = 1.0
    count = min(SETTLED_CHECKS, len(logprobs))
    heaviest = np.argpartition(-logprobs, count - 1)[:count]
    for index in heaviest[np.argsort(-logprobs[heaviest], kind="stable")].tolist():
        left -= float(np.exp(logprobs[index]))
        strike_out([index])
        if left <= SETTLED:
            return


def _always(cover: Cover) -> bool:
    return True
