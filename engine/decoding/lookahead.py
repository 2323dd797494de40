"""Look-ahead: if a row has several good options, each is followed for some tokens before one of them is chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from engine.config import SamplingParams
from engine.decoding.candidates import Decoder
from engine.decoding.decode import DecodeStep, tokens_before
from engine.healing.k_step import Cover, FirstStep
from engine.runtime.checkpoint import BudgetExceeded
from engine.sampling import Chooser, History, build_penalties, gate, is_chaotic, largest, log_softmax
from engine.types import FloatArray, IdArray, TokenIds

_MODEL_ALONE = Chooser((), None)


class ForkTest(Protocol):
    """Decides whether several options are followed before one is chosen."""

    def of_row(self, row: FloatArray) -> bool:
        """For the tokens of a row of logits, ``[V]``."""
        ...

    def of_covers(self, first: FirstStep, rivals: Sequence[Cover]) -> bool:
        """For the healed first step; ``rivals`` are its best canonical covers, at least two, best first."""
        ...


@dataclass(frozen=True, slots=True)
class ChaoticPoint:
    """A fork is where the second probability is at least ``ratio`` of the first (SED)."""

    ratio: float

    def of_row(self, row: FloatArray) -> bool:
        """See `ForkTest`."""
        return is_chaotic(row, self.ratio)

    def of_covers(self, first: FirstStep, rivals: Sequence[Cover]) -> bool:
        """See `ForkTest`. The ratio is that of two rivals, so covers that are not canonical do not count."""
        return is_chaotic(np.array([cover.logprob for cover in rivals], np.float32), self.ratio)


@dataclass(frozen=True, slots=True)
class BranchQuadrant:
    """A fork is where the entropy is low and the varentropy high, in bits and bits squared (the gate)."""

    entropy_bits: float
    varentropy_bits: float

    def of_row(self, row: FloatArray) -> bool:
        """See `ForkTest`."""
        return gate(row, self.entropy_bits, self.varentropy_bits) == "branch"

    def of_covers(self, first: FirstStep, rivals: Sequence[Cover]) -> bool:
        """See `ForkTest`. Entropy and varentropy are those of the whole row."""
        return self.of_row(first.logprobs)


@dataclass(frozen=True, slots=True)
class LookAhead:
    """If the row is a fork, follows each of the best tokens for a while; otherwise ``base`` chooses.

    Chaotic points: Luo et al. 2024 (SED), arXiv 2405.16552. Each branch is decoded greedily by the model alone for
    ``sed_tokens`` tokens (or to the completion's end). The token whose branch has the highest mean log-probability, its
    own included, wins. Where we differ: the paper asks the model to judge the branches in words.
    """

    decoder: Decoder
    params: SamplingParams
    fork: ForkTest
    base: Chooser
    typed: int = 0

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `engine.sampling.TokenChooser`."""
        row = Chooser(build_penalties(self.params), None).shape(logits, history)
        if not self.fork.of_row(row):
            return self.base.next_token(logits, history)
        ids = np.concatenate([history.before, np.array(history.written, np.int32)])
        logprobs = log_softmax(logits)
        tokens = largest(row, self.params.sed_branches).tolist()
        covers = [Cover(len(ids), (), token, 0, float(logprobs[token])) for token in tokens]
        return self._most_promising(ids, covers, tuple(history.written), self.typed).token

    def first(self, rivals: list[Cover]) -> list[Cover]:
        """``rivals`` (best first), with the one that a look-ahead prefers in front; unchanged if time runs out."""
        promising = rivals[: self.params.sed_branches]
        try:
            best = self._most_promising(self.decoder.prompt, promising, (), None)
        except BudgetExceeded:
            return rivals
        return [best, *(cover for cover in rivals if cover != best)]

    def _most_promising(self, prompt: IdArray, covers: Sequence[Cover], written: TokenIds, typed: int | None) -> Cover:
        """The cover whose branch has the highest mean log-probability, the first of equal ones.

        All branches grow by one token at a time, as one batch. ``written`` is already in ``prompt``. Of it and what
        follows, the first ``typed`` bytes were typed (None: as the cover says).
        """
        branches = [_Branch(cover, self.decoder.decode(prompt, cover, _MODEL_ALONE)) for cover in covers]
        growing = branches
        for _ in range(self.params.sed_tokens):
            self.decoder.prefetch([branch.sequence(prompt) for branch in growing if branch.tokens])
            growing = [branch for branch in growing if branch.grow() and not self._has_ended(branch, written, typed)]
        return max(branches, key=lambda branch: branch.mean).cover

    def _has_ended(self, branch: "_Branch", written: TokenIds, typed: int | None) -> bool:
        own = branch.cover.typed if typed is None else typed
        return self.decoder.judge((*written, *branch.tokens), own).ended is not None


@dataclass(slots=True)
class _Branch:
    """One option while it is followed."""

    cover: Cover
    steps: Iterator[DecodeStep]
    tokens: list[int] = field(default_factory=list)
    total: float = 0.0

    @property
    def mean(self) -> float:
        """Log-probability per token."""
        return self.total / len(self.tokens)

    def sequence(self, prompt: IdArray) -> IdArray:
        """The prompt before the branch, then what has been written so far."""
        return np.concatenate([tokens_before(prompt, self.cover), np.array(self.tokens, np.int32)])

    def grow(self) -> bool:
        """Write one more token; False if the cache is full."""
        step = next(self.steps, None)
        if step is not None:
            self.tokens.append(step.token)
            self.total += step.logprob
        return step is not None
