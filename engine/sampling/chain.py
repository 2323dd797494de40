"""From `SamplingParams` to the function that chooses: penalties → mask → temperature → truncation → draw.

The mask is already in the row: the healed first step is a row over covers, and entries that may not be chosen are
``-inf``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.sampling.bat import BasisAware
from engine.sampling.penalties import count_penalty, no_repeat_ngram, repetition_penalty
from engine.sampling.rows import Transform, largest, support_of
from engine.sampling.temperature import (
    adapt_temperature,
    dynamic,
    edt_temperature,
    gate,
    kl_divergence,
    kl_temperature,
    temperature,
)
from engine.sampling.truncation import Truncation, epsilon, eta, min_p, top_k, top_n_sigma, top_p
from engine.types import FloatArray, IdArray

_BLOCK = 512
"""Number of entries whose weights are summed as one block when a draw is located."""


@dataclass(frozen=True, slots=True)
class History:
    """What comes before the row: ``before``, ``[S] int32``, tokens of the prompt, then ``written`` by this completion.

    Repetition penalties use both; frequency and presence penalties use only what is ``written``.
    """

    before: IdArray = field(default_factory=lambda: np.zeros(0, np.int32))
    written: Sequence[int] = ()


ChainStep: TypeAlias = Callable[[FloatArray, History], FloatArray]
LineTest: TypeAlias = Callable[[Sequence[int]], bool]
"""Whether a line has just begun after the tokens written."""
Reference: TypeAlias = Callable[[History], FloatArray | None]
"""The second distribution of KL-guided temperature, over the same entries as the row; None if there is none."""


class TokenChooser(Protocol):
    """Chooses tokens for the decode loop. A `Chooser` uses only the row; others look ahead with the model."""

    def next_token(self, logits: FloatArray, history: History) -> int:
        """The id chosen from ``logits``, ``[V] float32``."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses an index of a row of logits; ``generator`` None means greedy."""

    steps: tuple[ChainStep, ...]
    generator: np.random.Generator | None
    truncations: tuple[Truncation, ...] = ()
    basis_aware: BasisAware | None = None

    def shape(self, logits: FloatArray, history: History | None = None) -> FloatArray:
        """The row after the pipeline, ``[N]``, from which is drawn."""
        return self._truncated(self._warmed(logits, history))

    def choose(self, logits: FloatArray, ids: NDArray[np.int32] | None = None, history: History | None = None) -> int:
        """Index into ``logits`` (``[N]``); greedy ties go to the lowest of ``ids`` (by default the index)."""
        return int(self.choose_distinct(logits, 1, ids, history)[0])

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `TokenChooser`."""
        if self.basis_aware is not None and self.generator is not None:
            before = self._warmed(logits, history)
            return self.basis_aware.draw(self._truncated(before), before, self.generator)
        return self.choose(logits, None, history)

    def choose_distinct(
        self,
        logits: FloatArray,
        count: int,
        ids: NDArray[np.int32] | None = None,
        history: History | None = None,
        *,
        taken: Sequence[int] = (),
    ) -> list[int]:
        """Up to ``count`` different indices, in the order in which they were chosen; fewer if fewer can be chosen.

        Greedy takes the largest; otherwise they are drawn one after the other without replacement. Indices in ``taken``
        count for truncations, but are not chosen again.
        """
        shaped = self.shape(logits, history)
        if taken:
            shaped = shaped.copy()
            shaped[list(taken)] = -np.inf
        if self.generator is not None:
            return _draw(shaped, count, self.generator)
        if count == 1:
            return [_argmax(shaped, ids)]
        if ids is None:
            found: list[int] = largest(shaped, count).tolist()
            return found
        support = support_of(shaped)
        order = np.lexsort((ids[support], -shaped[support]))
        return [int(index) for index in support[order[:count]]]

    def for_candidate(self, number: int) -> "Chooser":
        """The same chooser with a random stream of its own for each ``number``. The stream depends only on the seed,
        not on earlier draws.
        """
        if self.generator is None:
            return self
        root = self.generator.bit_generator.seed_seq
        assert isinstance(root, np.random.SeedSequence)
        seeds = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))
        return replace(self, generator=np.random.default_rng(seeds))

    def for_covers(self, penalty: Transform | None) -> "Chooser":
        """The chooser of the healed first step, whose rows have an entry for each cover.

        ``penalty`` takes the place of the penalties. Basis-aware truncation needs a row over the vocabulary, so covers
        below its threshold are simply cut off.
        """
        steps = tuple(step for step in self.steps if not isinstance(step, Penalty))
        if penalty is not None:
            steps = (_ignoring_history(penalty), *steps)
        rules = self.truncations
        if self.basis_aware is not None:
            rules = (*rules, epsilon(self.basis_aware.threshold))
        return replace(self, steps=steps, truncations=rules, basis_aware=None)

    def _warmed(self, logits: FloatArray, history: History | None) -> FloatArray:
        history = history or History()
        for step in self.steps:
            logits = step(logits, history)
        return logits

    def _truncated(self, before: FloatArray) -> FloatArray:
        logits = before
        for rule in self.truncations:
            logits = rule(logits, before)
        return logits


@dataclass(frozen=True, slots=True)
class Penalty:
    """A step that uses the history's ids, so it cannot be applied to a row of covers."""

    transform_for: Callable[[History], Transform]

    def __call__(self, logits: FloatArray, history: History) -> FloatArray:
        """The row with the penalties for ``history`` applied."""
        return self.transform_for(history)(logits)


def build_chooser(
    params: SamplingParams,
    *,
    line_began: LineTest = lambda written: False,
    reference: Reference = lambda history: None,
    basis_aware: BasisAware | None = None,
) -> Chooser:
    """The pipeline of a request. The same seed gives the same draws; no seed gives fresh ones.

    For strategies that look ahead or search, the pipeline holds only the penalties; see `engine.decoding.beam_search`.
    """
    penalties = build_penalties(params)
    if not params.draws:
        return Chooser(penalties, None)
    warming: ChainStep = {
        "edt": partial(_edt, params),
        "adapt": partial(_adapt, params, line_began),
        "kl": partial(_kl, params, reference),
        "entropy-gate": partial(_gated, params),
    }.get(params.strategy, _ignoring_history(temperature(params.temperature)))
    generator = np.random.default_rng(params.seed)
    return Chooser((*penalties, warming), generator, _truncations(params), basis_aware)


def build_penalties(params: SamplingParams) -> tuple[Penalty, ...]:
    """The penalties that ``params`` asks for, in order."""
    found = []
    if params.repetition_penalty != 1.0:
        found.append(Penalty(lambda h: repetition_penalty((*h.before, *h.written), params.repetition_penalty)))
    if params.frequency_penalty or params.presence_penalty:
        found.append(Penalty(lambda h: count_penalty(h.written, params.frequency_penalty, params.presence_penalty)))
    if params.no_repeat_ngram:
        found.append(Penalty(lambda h: no_repeat_ngram((*h.before, *h.written), params.no_repeat_ngram)))
    return tuple(found)


def _truncations(params: SamplingParams) -> tuple[Truncation, ...]:
    # Of two nuclei, the smaller one counts.
    mass = min(params.top_p, params.adapt_top_p) if params.strategy == "adapt" else params.top_p
    wanted: tuple[tuple[bool, Callable[[], Truncation]], ...] = (
        (params.top_k > 0, lambda: top_k(params.top_k)),
        (mass < 1.0, lambda: top_p(mass)),
        (params.min_p > 0, lambda: min_p(params.min_p)),
        (params.top_n_sigma > 0, lambda: top_n_sigma(params.top_n_sigma)),
        (params.eta > 0, lambda: eta(params.eta)),
        (params.epsilon > 0, lambda: epsilon(params.epsilon)),
    )
    return tuple(make() for is_wanted, make in wanted if is_wanted)


def _ignoring_history(transform: Transform) -> ChainStep:
    return lambda logits, history: transform(logits)


def _edt(params: SamplingParams, logits: FloatArray, history: History) -> FloatArray:
    return dynamic(logits, edt_temperature(logits, params.temperature, params.edt_base, params.edt_theta))


def _adapt(params: SamplingParams, line_began: LineTest, logits: FloatArray, history: History) -> FloatArray:
    factor = adapt_temperature(line_began(history.written), params.adapt_line_start, params.adapt_elsewhere)
    return temperature(params.temperature * factor)(logits)


def _kl(params: SamplingParams, reference: Reference, logits: FloatArray, history: History) -> FloatArray:
    other = reference(history)
    divergence = 0.0 if other is None else kl_divergence(logits, other)
    return dynamic(logits, kl_temperature(divergence, params.temperature, params.kl_sigma))


def _gated(params: SamplingParams, logits: FloatArray, history: History) -> FloatArray:
    """The gate on one row. If it says to branch, the row is not changed (`decoding.lookahead` then branches)."""
    verdict = gate(logits, params.gate_entropy_bits, params.gate_varentropy_bits)
    if verdict == "argmax":
        return dynamic(logits, 0.0)
    hotter = 1.0 if verdict == "branch" else params.gate_temperature
    shaped = temperature(params.temperature * hotter)(logits)
    return top_p(params.gate_top_p)(shaped) if verdict == "hotter-narrower" else shaped


def _draw(logits: FloatArray, count: int, generator: np.random.Generator) -> list[int]:
    """Up to ``count`` different indices in the order in which they are drawn, each in proportion to ``exp(z)``."""
    # After truncation, a draw costs only as much as the entries that are left.
    support = support_of(logits)
    if not len(support):
        return []
    values = logits if len(support) == len(logits) else logits[support]
    weights = np.exp(values - values.max())
    drawn: list[int] = []
    for _ in range(min(count, len(support))):
        if not weights.any():
            # The remaining weights underflow to 0 relative to what was drawn, so they are computed again among
            # themselves.
            rest = values.copy()
            rest[drawn] = -np.inf
            weights = np.exp(rest - rest.max())
        index = _place(weights, generator.random())
        weights[index] = 0
        drawn.append(index)
    return [int(support[index]) for index in drawn]


def _place(weights: FloatArray, share: float) -> int:
    """The index at which the running sum of ``weights`` first exceeds ``share`` (0 <= share < 1) of the whole."""
    # In two stages, because a running sum over a whole vocabulary costs more than everything else in the chain.
    whole = len(weights) // _BLOCK * _BLOCK
    blocks = weights[:whole].reshape(-1, _BLOCK).sum(axis=1, dtype=np.float64)
    running = np.cumsum(np.append(blocks, weights[whole:].sum(dtype=np.float64)))
    aim = share * running[-1]
    block = min(int(np.searchsorted(running, aim, side="right")), len(running) - 1)
    inside = weights[block * _BLOCK : (block + 1) * _BLOCK].cumsum(dtype=np.float64)
    aim -= running[block - 1] if block else 0.0
    place = int(np.searchsorted(inside, aim, side="right"))
    if place < len(inside):
        return block * _BLOCK + place
    # Only after rounding errors: the last entry up to the end of the block that can be drawn.
    return int(np.flatnonzero(weights[: (block + 1) * _BLOCK])[-1])


def _argmax(row: FloatArray, ids: NDArray[np.int32] | None) -> int:
    best = int(np.argmax(row))
    if ids is None:
        return best
    ties = np.flatnonzero(row == row[best])
    return int(ties[np.argmin(ids[ties])])
