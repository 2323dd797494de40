"""From the name of a strategy to candidates: which covers they begin with, and how each is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.decoding.beam_search import BeamParams, beam_search, best_first_search
from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.lookahead import LookAhead, SecondView, branch_test, meets_line_start, write_ranked
from engine.healing.first_step import Healed, choose_covers
from engine.healing.k_step import Cover, FirstStep
from engine.sampling import (
    BasisAware,
    Chooser,
    TokenChooser,
    Transform,
    build_chooser,
    build_penalties,
    repeated_after,
    repetition_penalty,
)
from engine.types import FloatArray, TokenIds

SEARCHES_WHOLE = ("beam", "best-first", "branch")
"""Strategies whose candidates are known only when all are written; their order is theirs."""


def covers_wanted(params: SamplingParams, count: int) -> int:
    """How many covers a strategy looks at for ``count`` candidates."""
    if params.strategy in ("beam", "best-first"):
        return params.beam_width
    if params.strategy == "branch":
        return max(count, params.branches)
    return count if branch_test(params) is None else max(count, params.sed_branches)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A request's strategy, ready to run. ``tail`` is what the prompt may take back."""

    decoder: Decoder
    params: SamplingParams
    tail: TokenIds
    healed: Healed
    chooser: Chooser

    @property
    def is_whole(self) -> bool:
        """Whether candidates must be asked for together, with `write_all`."""
        return self.params.strategy in SEARCHES_WHOLE

    def covers(self, count: int) -> list[Cover]:
        """What the candidates begin with, the first choice in front."""
        penalty = cover_penalty(self.params, self.healed.first, self.decoder.prompt, len(self.tail))
        test = branch_test(self.params)
        if test is not None:
            look_ahead = LookAhead(self.decoder, self.params, test, self.chooser)
            best = Chooser((), None).for_covers(penalty)
            rivals = choose_covers(self.healed, best, covers_wanted(self.params, count))
            if look_ahead.is_fork_of(self.healed, rivals):
                return look_ahead.first(rivals)[:count]
        return choose_covers(self.healed, self.chooser.for_covers(penalty), covers_wanted(self.params, count))

    def token_chooser(self, cover: Cover, number: int = 0) -> TokenChooser:
        """What chooses the tokens after ``cover``, the first of candidate ``number``.

        Each candidate draws from a stream of its own, so that what it says does not depend on how many there are.
        """
        chooser = self.chooser.for_candidate(number)
        test = branch_test(self.params)
        return chooser if test is None else LookAhead(self.decoder, self.params, test, chooser, cover.typed)

    def write_all(self, covers: Sequence[Cover], count: int) -> list[Candidate]:
        """Up to ``count`` candidates, written to their ends: those of a search in its order, else the first choice in
        front and the others by confidence.

        Raises `engine.errors.Cancelled` or `engine.errors.DeviceError`.
        """
        if self.params.strategy in ("beam", "best-first"):
            search = beam_search if self.params.strategy == "beam" else best_first_search
            beam = BeamParams(self.params.beam_width, self.params.length_alpha, count, self.chooser)
            return search(self.decoder, covers, beam) if covers else []
        if self.params.strategy != "branch":
            covers = covers[:count]
        choosers = [self.token_chooser(cover, number) for number, cover in enumerate(covers)]
        ranked = write_ranked(self.decoder, self.healed, covers, choosers)
        if self.params.strategy != "branch":
            ranked.sort(key=lambda candidate: candidate.cover != covers[0])
        return ranked[:count]


def make_strategy(
    decoder: Decoder,
    params: SamplingParams,
    tail: TokenIds,
    healed: Healed,
    *,
    basis_aware: BasisAware | None = None,
    second: SecondView | None = None,
) -> Strategy:
    """Wire a strategy. ``basis_aware`` and ``second`` belong to the parameters that ask for them."""
    if second is not None and second.cache is decoder.cache:
        decoder = replace(decoder, companion=second.beside)
    chooser = build_chooser(
        params,
        line_began=meets_line_start(decoder),
        reference=second or (lambda history: None),
        basis_aware=basis_aware,
    )
    return Strategy(decoder, params, tail, healed, chooser)


def cover_penalty(params: SamplingParams, first: FirstStep, prompt: NDArray[np.int32], tail: int) -> Transform | None:
    """The penalties as a function on the row of covers; None where there are none.

    A cover's token is penalised for the tokens before the tail: those of the tail are what is written anew. Nothing
    is written yet, so frequency and presence say nothing.
    """
    if not build_penalties(params):
        return None
    seen = np.flatnonzero(np.isin(first.ids, prompt[: len(prompt) - tail]))
    banned = _banned_covers(params, first, prompt)

    def apply(logits: FloatArray) -> FloatArray:
        shaped = repetition_penalty(seen.tolist(), params.repetition_penalty)(logits)
        shaped[banned] = -np.inf
        return shaped if np.isfinite(shaped.max()) else logits

    return apply


def _banned_covers(params: SamplingParams, first: FirstStep, prompt: NDArray[np.int32]) -> NDArray[np.intp]:
    found, start = [], 0
    for group in first.groups:
        if params.no_repeat_ngram:
            history = (*prompt[: group.kept].tolist(), *group.extra)
            repeated = np.array(sorted(repeated_after(history, params.no_repeat_ngram)), np.int32)
            found.append(start + np.flatnonzero(np.isin(group.ids, repeated)))
        start += len(group.ids)
    return np.concatenate(found) if found else np.zeros(0, np.intp)
