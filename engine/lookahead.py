"""Strategies that look beyond the next token: what a branch leads to, how sure the model is, what the context adds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

import numpy as np

from engine.config import SamplingParams
from engine.decode import BudgetExceeded
from engine.first_step import Healed
from engine.healing import Cover, CoverGroup, FirstStep
from engine.kv_cache import TokenCache
from engine.sampling import Chooser, History, build_penalties, gate, is_chaotic, largest, log_softmax
from engine.sampling import top_two_gap as gap_of
from engine.types import FloatArray, IdArray, TokenIds
from engine.writing import Candidate, Scene

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

    scene: Scene
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
        best = max(covers, key=lambda cover: self._promise(ids, cover, tuple(history.written), self.typed))
        # The cache is left at the end of a branch; the loop goes on from here.
        self.scene.cache.seek(ids)
        return best.token

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
            best = max(promising, key=lambda cover: self._promise(self.scene.prompt, cover, (), cover.typed))
        except BudgetExceeded:
            return rivals
        return [best, *(cover for cover in rivals if cover != best)]

    def _promise(self, prompt: IdArray, cover: Cover, written: TokenIds, typed: int) -> float:
        """Mean log-probability of the branch that begins with ``cover``."""
        total, tokens = 0.0, list(written)
        steps = islice(self.scene.decode(prompt, cover, _MODEL_ALONE), self.params.sed_tokens)
        for step in steps:
            total += step.logprob
            tokens.append(step.token)
            if self.scene.judge(tokens, typed).ended is not None:
                break
        return total / (len(tokens) - len(written))


@dataclass(slots=True)
class ConfidenceMeter:
    """Chooses as ``base`` does and notes how far the best token was ahead of the second."""

    base: Chooser
    gaps: list[float] = field(default_factory=list)

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `engine.sampling.TokenChooser`."""
        self.gaps.append(gap_of(logits))
        return self.base.next_token(logits, history)


def rank_branches(scene: Scene, healed: Healed, covers: Sequence[Cover], base: Chooser) -> list[Candidate]:
    """Decode each of ``covers`` greedily; most confident first.

    Wang and Zhou 2024 (CoT-decoding), arXiv 2402.10200: confidence is the mean gap between the best and the second
    probability over the tokens written. Where we differ: the branching token counts too, with its own probability
    minus the best rival's, for a completion has no separate answer and a cover that nothing speaks for must not win by
    what follows from it.
    """
    ranked = []
    for cover in covers:
        meter, candidate = ConfidenceMeter(base, [_lead(healed.first, cover)]), scene.start(cover)
        for _ in scene.write(candidate, meter):
            pass
        ranked.append((float(np.mean(meter.gaps)), candidate))
    return [candidate for _, candidate in sorted(ranked, key=lambda entry: -entry[0])]


def _lead(first: FirstStep, cover: Cover) -> float:
    """Probability of ``cover`` minus that of the best other cover."""
    own = math.exp(cover.logprob)
    top, second = [*np.exp(np.sort(-np.partition(-first.logprobs, min(1, len(first.ids) - 1))[:2]))[::-1], 0.0][:2]
    return own - float(second if own >= top else top)


@dataclass(frozen=True, slots=True)
class SecondView:
    """The model without the retrieved context: a second prompt in a cache of its own, which follows the first.

    Both prompts end in the same ``tail_length`` tokens. ``first_row`` is the healed first step without the context,
    over the same covers; None where the two do not match.
    """

    cache: TokenCache
    prompt: IdArray
    scene: Scene
    tail_length: int
    first_row: FloatArray | None

    def __call__(self, history: History) -> FloatArray | None:
        """The logits after the same tokens, ``[V]``; over covers where nothing is written yet."""
        if not history.written:
            return self.first_row
        kept = history.before[len(self.scene.prompt) - self.tail_length :]
        start = self.prompt[: len(self.prompt) - self.tail_length]
        ids = np.concatenate([start, kept, np.array(history.written, np.int32)])
        if len(ids) > self.cache.capacity:
            return None
        logits, _ = self.cache.prefill(ids, (len(ids) - 1,), self.scene.checkpoint)
        row: FloatArray = logits[0, : self.scene.vocabulary.size]
        return row


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


def meets_line_start(scene: Scene) -> Callable[[Sequence[int]], bool]:
    """Whether a line has just begun: nothing but white space since the last line break (AdapT)."""
    blank = not scene.line_prefix.strip()

    def began(written: Sequence[int]) -> bool:
        for token in reversed(written):
            data = scene.vocabulary.token_bytes[token]
            if rest := data.rstrip(b" \t"):
                return rest.endswith((b"\n", b"\r"))
        return blank

    return began
