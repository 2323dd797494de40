"""Strategies that look beyond the next token: what a branch leads to, how sure the model is, what the context adds."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from engine.config import SamplingParams
from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.decode import DecodeStep, tokens_before
from engine.healing.first_step import Healed
from engine.healing.k_step import Cover, CoverGroup, FirstStep
from engine.runtime.checkpoint import BudgetExceeded
from engine.runtime.token_cache import TokenCache
from engine.sampling import Chooser, History, TokenChooser, build_penalties, gate, is_chaotic, largest, log_softmax
from engine.sampling import top_two_gap as gap_of
from engine.types import FloatArray, IdArray, TokenIds

BranchTest: TypeAlias = Callable[[FloatArray], bool]
"""Whether a row has several options that deserve a look at what they lead to."""

_MODEL_ALONE = Chooser((), None)


def branch_test(params: SamplingParams) -> BranchTest | None:
    """When the strategy of ``params`` looks ahead; None for those that never do."""
    if params.strategy == "sed":
        return lambda row: is_chaotic(row, params.sed_ratio)
    if params.strategy == "entropy-gate" and params.draws:
        return lambda row: gate(row, params.gate_entropy_bits, params.gate_varentropy_bits) == "branch"
    return None


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Where the row is a fork, follows each of the best tokens for a while; elsewhere ``base`` chooses.

    Chaotic points: Luo et al. 2024 (SED), arXiv 2405.16552. Each branch is decoded greedily by the model alone for
    ``sed_tokens`` tokens (or to the completion's end), and the token wins whose branch has the highest mean
    log-probability, its own included. Where we differ: the paper's self-evaluation asks the model again in words.
    """

    decoder: Decoder
    params: SamplingParams
    is_fork: BranchTest
    base: Chooser
    typed: int = 0

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `engine.sampling.TokenChooser`."""
        row = Chooser(build_penalties(self.params), None).shape(logits, history)
        if not self.is_fork(row):
            return self.base.next_token(logits, history)
        ids = np.concatenate([history.before, np.array(history.written, np.int32)])
        logprobs = log_softmax(logits)
        tokens = largest(row, self.params.sed_branches).tolist()
        covers = [Cover(len(ids), (), token, 0, float(logprobs[token])) for token in tokens]
        return self._most_promising(ids, covers, tuple(history.written), self.typed).token

    def is_fork_of(self, healed: Healed, rivals: Sequence[Cover]) -> bool:
        """Whether the healed first step is a fork. ``rivals`` are its best canonical covers, best first."""
        if len(rivals) < 2:
            return False
        # A ratio is one of rivals, and covers that are not canonical are none; entropies are of the whole row.
        weights = np.array([cover.logprob for cover in rivals], np.float32)
        return self.is_fork(weights if self.params.strategy == "sed" else healed.first.logprobs)

    def first(self, rivals: list[Cover]) -> list[Cover]:
        """``rivals`` (best first) with the one in front that a look ahead prefers; as they are if time runs out."""
        promising = rivals[: self.params.sed_branches]
        try:
            best = self._most_promising(self.decoder.prompt, promising, (), None)
        except BudgetExceeded:
            return rivals
        return [best, *(cover for cover in rivals if cover != best)]

    def _most_promising(self, prompt: IdArray, covers: Sequence[Cover], written: TokenIds, typed: int | None) -> Cover:
        """The cover whose branch has the highest mean log-probability, the first of equal ones.

        All branches grow by a token in turn, from one batch. ``written`` stands in ``prompt`` already; of it and what
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
    """One way on, while it is looked at."""

    cover: Cover
    steps: Iterator[DecodeStep]
    tokens: list[int] = field(default_factory=list)
    total: float = 0.0

    @property
    def mean(self) -> float:
        """Log-probability per token."""
        return self.total / len(self.tokens)

    def sequence(self, prompt: IdArray) -> IdArray:
        """What has been written so far, after what stands before it."""
        return np.concatenate([tokens_before(prompt, self.cover), np.array(self.tokens, np.int32)])

    def grow(self) -> bool:
        """Write one more token; False where the cache is full."""
        step = next(self.steps, None)
        if step is not None:
            self.tokens.append(step.token)
            self.total += step.logprob
        return step is not None


@dataclass(slots=True)
class ConfidenceMeter:
    """Chooses as ``base`` does and notes how far the best token was ahead of the second."""

    base: TokenChooser
    gaps: list[float] = field(default_factory=list)

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `engine.sampling.TokenChooser`."""
        self.gaps.append(gap_of(logits))
        return self.base.next_token(logits, history)


def write_ranked(
    decoder: Decoder, healed: Healed, covers: Sequence[Cover], choosers: Sequence[TokenChooser]
) -> list[Candidate]:
    """Write a candidate from each of ``covers``, all in step; most confident first. One alone is not measured.

    Wang and Zhou 2024 (CoT-decoding), arXiv 2402.10200: confidence is the mean gap between the best and the second
    probability over the tokens written. Where we differ: the branching token counts too, with its own probability
    minus the best rival's, for a completion has no separate answer and a cover that nothing speaks for must not win by
    what follows from it.
    """
    meters = [ConfidenceMeter(base, [_lead(healed.first, cover)]) for cover, base in zip(covers, choosers, strict=True)]
    candidates = [decoder.start(cover) for cover in covers]
    decoder.write_together(list(zip(candidates, meters, strict=True)))
    ranked = zip(candidates, meters, strict=True)
    return [candidate for candidate, _ in sorted(ranked, key=lambda entry: -float(np.mean(entry[1].gaps)))]


def _lead(first: FirstStep, cover: Cover) -> float:
    """Probability of ``cover`` minus that of the best other cover."""
    own = math.exp(cover.logprob)
    top, second = [*np.exp(np.sort(-np.partition(-first.logprobs, min(1, len(first.ids) - 1))[:2]))[::-1], 0.0][:2]
    return own - float(second if own >= top else top)


@dataclass(frozen=True, slots=True)
class SecondView:
    """The model without the retrieved context: a second prompt, which follows that of ``decoder``.

    Both prompts end in the same ``tail_length`` tokens. ``first_row`` is the healed first step without the context,
    over the same covers; None where the two do not match. ``cache`` is that of ``decoder``, which then runs both
    prompts as one batch (`Decoder.companion`), or another where a session holds one sequence.
    """

    cache: TokenCache
    prompt: IdArray
    decoder: Decoder
    tail_length: int
    first_row: FloatArray | None

    def beside(self, ids: IdArray) -> IdArray | None:
        """The sequence that ends as ``ids`` do after the second prompt; None where it is too long for the cache."""
        start = self.prompt[: len(self.prompt) - self.tail_length]
        other = np.concatenate([start, ids[len(self.decoder.prompt) - self.tail_length :]])
        return other if len(other) <= self.cache.capacity else None

    def __call__(self, history: History) -> FloatArray | None:
        """The logits after the same tokens, ``[V]``; over covers where nothing is written yet."""
        if not history.written:
            return self.first_row
        ids = self.beside(np.concatenate([history.before, np.array(history.written, np.int32)]))
        if ids is None:
            return None
        return self.cache.row_after(ids, self.decoder.checkpoint)[: self.decoder.vocabulary.size]


def matching_row(first: FirstStep, base: int, other: FirstStep, other_base: int) -> FloatArray | None:
    """The log-probabilities of ``other`` in the order of ``first``, ``[N]``; None if their covers are not the same.

    ``base`` and ``other_base`` are the lengths of the two prompts without the tail that they share.
    """

    def key(group: CoverGroup, start: int) -> tuple[int, TokenIds, int, int]:
        return (group.kept - start, group.extra, group.typed, len(group.ids))

    groups = {key(group, other_base): group for group in other.groups}
    try:
        return np.concatenate([groups[key(group, base)].logprobs for group in first.groups])
    except KeyError:
        return None


def meets_line_start(decoder: Decoder) -> Callable[[Sequence[int]], bool]:
    """Whether a line has just begun: nothing but white space since the last line break (AdapT)."""
    blank = not decoder.line_prefix.strip()

    def began(written: Sequence[int]) -> bool:
        for token in reversed(written):
            data = decoder.vocabulary.token_bytes[token]
            if rest := data.rstrip(b" \t"):
                return rest.endswith((b"\n", b"\r"))
        return blank

    return began
