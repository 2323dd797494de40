"""Beam search and best-first beam search over completions. They start from the healed covers.

A hypothesis of level n is a cover followed by n - 1 tokens; its score is the sum of their log-probabilities, where that
of the cover is its share among all covers. The B best hypotheses of each level are kept. One that meets a stop
condition is finished; the others are expanded. Finished ones are ranked by ``score / ((5 + n) / 6) ** alpha`` (Wu et
al. 2016, arXiv 1609.08144). The search ends as soon as no live hypothesis can reach the ranks that are asked for.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.decode import tokens_before
from engine.healing.k_step import Cover
from engine.runtime.checkpoint import BudgetExceeded
from engine.sampling import Chooser, History, largest, log_probabilities
from engine.types import FloatArray, IdArray, TokenIds


@dataclass(frozen=True, slots=True)
class BeamParams:
    """``width`` is B, ``alpha`` the length normalisation, ``count`` the number of finished hypotheses wanted.

    ``penalties`` change each row before its log-probabilities are taken, so every score only falls with length.
    """

    width: int
    alpha: float
    count: int
    penalties: Chooser = field(default_factory=lambda: Chooser((), None))

    def normalised(self, score: float, length: int) -> float:
        """``score / ((5 + length) / 6) ** alpha``."""
        return float(score / ((5 + length) / 6) ** self.alpha)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """``tokens`` begin with the cover's token. ``score`` is after penalties; ``logprob`` is the model's own, without an
    end token.

    ``before`` is ``logprob`` without the last token.
    """

    cover: Cover
    tokens: TokenIds
    score: float
    logprob: float
    before: float = 0.0

    @property
    def order(self) -> tuple[float, int, TokenIds, int]:
        """Sorts the best first. Of equal scores the shorter, then the lower ids: the same in either search."""
        return (-self.score, len(self.tokens), self.tokens, self.cover.kept)


@dataclass(slots=True)
class _Finished:
    """The finished hypotheses, and whether the best ``count`` of them can still change."""

    params: BeamParams
    longest: int
    ranked: list[tuple[float, Hypothesis, Candidate]] = field(default_factory=list)

    def add(self, hypothesis: Hypothesis, candidate: Candidate) -> None:
        rank = self.params.normalised(hypothesis.score, len(hypothesis.tokens))
        self.ranked.append((-rank, hypothesis, candidate))
        self.ranked.sort(key=lambda entry: (entry[0], entry[1].order))

    def settled_against(self, best_score: float) -> bool:
        """Whether no continuation of a hypothesis of ``best_score`` can rank among the best ``count``.

        Scores only fall and the divisor only grows, up to that of the longest completion allowed.
        """
        if len(self.ranked) < self.params.count:
            return False
        return self.params.normalised(best_score, self.longest) < -self.ranked[self.params.count - 1][0]

    def best(self) -> list[Candidate]:
        return [candidate for _, _, candidate in self.ranked[: self.params.count]]


def beam_search(decoder: Decoder, covers: Sequence[Cover], params: BeamParams) -> list[Candidate]:
    """The ``count`` best finished hypotheses, best first; if the budget runs out, also the best unfinished ones.

    ``covers`` are the B best covers, best first. Raises `engine.errors.Cancelled` or `engine.errors.DeviceError`.
    """
    finished = _Finished(params, decoder.stop.max_new_tokens)
    live = _sort_out(decoder, [_rooted(decoder, cover) for cover in covers], finished)
    try:
        while live and not finished.settled_against(live[0].score):
            rows = decoder.rows_after([_sequence(decoder, hypothesis) for hypothesis in live])
            live = _sort_out(decoder, expand(decoder, live, rows, params), finished)
    except BudgetExceeded:
        return _out_of_time(decoder, live, finished)
    return finished.best()


def best_first_search(decoder: Decoder, covers: Sequence[Cover], params: BeamParams) -> list[Candidate]:
    """What `beam_search` finds, expanding the most probable hypothesis first (Meister et al. 2020, arXiv 2007.03909).

    Scores only fall, so hypotheses of one length leave the queue in the order of their scores: the first B of a length
    are those that beam search keeps, and hypotheses that could never win are not expanded at all. The paper bounds the
    length normalisation with a maximal length; we take the limit of the request.
    """
    finished = _Finished(params, decoder.stop.max_new_tokens)
    queue = [(hypothesis.order, hypothesis) for hypothesis in (_rooted(decoder, cover) for cover in covers)]
    heapq.heapify(queue)
    taken: Counter[int] = Counter()
    while queue and not finished.settled_against(queue[0][1].score):
        _, hypothesis = heapq.heappop(queue)
        if taken[len(hypothesis.tokens)] == params.width:
            continue
        taken[len(hypothesis.tokens)] += 1
        if not _sort_out(decoder, [hypothesis], finished):
            continue
        try:
            rows = decoder.rows_after([_sequence(decoder, hypothesis)])
        except BudgetExceeded:
            return _out_of_time(decoder, [hypothesis, *(entry[1] for entry in sorted(queue))], finished)
        for longer in expand(decoder, [hypothesis], rows, params):
            heapq.heappush(queue, (longer.order, longer))
    return finished.best()


def expand(
    decoder: Decoder, hypotheses: Sequence[Hypothesis], rows: Sequence[FloatArray], params: BeamParams
) -> list[Hypothesis]:
    """The ``width`` best one-token continuations over all hypotheses together, best first.

    ``rows`` are the logits after each hypothesis, ``[V]``.
    """
    found = []
    for hypothesis, row in zip(hypotheses, rows, strict=True):
        shaped = row
        if params.penalties.steps:
            history = History(tokens_before(decoder.prompt, hypothesis.cover), hypothesis.tokens)
            shaped = params.penalties.shape(row, history)
        # Of one hypothesis at most ``width`` continuations can be among the best.
        tokens = largest(shaped, params.width)
        own = log_probabilities(row, tokens)
        scores = own if shaped is row else log_probabilities(shaped, tokens)
        for token, score, logprob in zip(tokens.tolist(), scores.tolist(), own.tolist(), strict=True):
            found.append(
                Hypothesis(
                    hypothesis.cover,
                    (*hypothesis.tokens, token),
                    hypothesis.score + min(0.0, score),
                    hypothesis.logprob + (0.0 if token in decoder.ends else logprob),
                    hypothesis.logprob,
                )
            )
    return sorted(found, key=lambda hypothesis: hypothesis.order)[: params.width]


def _rooted(decoder: Decoder, cover: Cover) -> Hypothesis:
    logprob = 0.0 if cover.token in decoder.ends else cover.logprob
    return Hypothesis(cover, (cover.token,), cover.logprob, logprob)


def _sequence(decoder: Decoder, hypothesis: Hypothesis) -> IdArray:
    return decoder.sequence(hypothesis.cover, hypothesis.tokens)


def _sort_out(decoder: Decoder, hypotheses: Sequence[Hypothesis], finished: _Finished) -> list[Hypothesis]:
    """Move ended hypotheses to ``finished``; return the others."""
    live = []
    for hypothesis in hypotheses:
        candidate = _candidate(decoder, hypothesis)
        if candidate.tracker.ended is None and len(_sequence(decoder, hypothesis)) > decoder.cache.capacity:
            candidate.tracker.finish("context")
        if candidate.tracker.ended is None:
            live.append(hypothesis)
        else:
            finished.add(hypothesis, candidate)
    return live


def _candidate(decoder: Decoder, hypothesis: Hypothesis) -> Candidate:
    tracker = decoder.judge(hypothesis.tokens, hypothesis.cover.typed, hypothesis.logprob)
    # As in `Decoder.write`: a token that ends the completion, or is too doubtful, is not part of it.
    if hypothesis.tokens[-1] in decoder.ends or tracker.ended == "doubt":
        return Candidate(hypothesis.cover, tracker, list(hypothesis.tokens[:-1]), hypothesis.before)
    return Candidate(hypothesis.cover, tracker, list(hypothesis.tokens), hypothesis.logprob)


def _out_of_time(decoder: Decoder, live: Sequence[Hypothesis], finished: _Finished) -> list[Candidate]:
    for hypothesis in live[: finished.params.count - len(finished.ranked)]:
        candidate = _candidate(decoder, hypothesis)
        candidate.tracker.finish("budget")
        finished.add(hypothesis, candidate)
    return finished.best()
