"""Writing one candidate: the decode loop, and after each token the check whether the completion ends. Every strategy
uses it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from engine.config import StopParams
from engine.decoding.decode import DecodeStep, Rows, decode, tokens_before
from engine.decoding.stopping import StopTracker
from engine.healing.agreed_prefix import agreed_prefix
from engine.healing.k_step import Cover, FirstStep
from engine.healing.known_words import KnownWords
from engine.healing.prefix_index import PrefixIndex
from engine.runtime.checkpoint import BudgetExceeded, Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import TokenChooser
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, IdArray


@dataclass(slots=True)
class Candidate:
    """A completion while it is written. ``logprob`` is the natural log-probability, summed over ``tokens``; an end
    token is in neither.

    ``along`` are the characters written after each token and `logprob` up to there.
    """

    cover: Cover
    tracker: StopTracker
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    along: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decoder:
    """One request after its prefill: everything that its candidates share.

    ``prompt`` is ``[S] int32``; ``ends`` are the ids that end a completion; ``line_prefix`` is the cursor's line before
    the cursor. ``companion`` is for a strategy that compares two contexts: it gives the other sequence whose row is
    wanted along with that of each sequence (None if there is none), and the two run as one batch. ``first`` is the
    distribution that covers are chosen from. ``words`` are made more probable in the word at the cursor; their tokens
    are found with ``index``. A candidate that is written alone takes its rows from ``ahead``, if given, and otherwise
    from ``cache``.
    """

    cache: TokenCache
    prompt: IdArray
    vocabulary: Vocabulary
    ends: frozenset[int]
    stop: StopParams
    line_prefix: str
    checkpoint: Checkpoint
    companion: Callable[[IdArray], IdArray | None] | None = None
    first: FirstStep | None = None
    words: KnownWords | None = None
    index: PrefixIndex | None = None
    ahead: Rows | None = None

    def start(self, cover: Cover) -> Candidate:
        """An empty candidate that will begin with ``cover``."""
        return Candidate(cover, StopTracker(self.stop, self.line_prefix))

    def sequence(self, cover: Cover, tokens: Sequence[int]) -> IdArray:
        """The prompt up to ``cover``, then ``tokens``, the first of which is the cover's own; ``[S] int32``."""
        return np.concatenate([tokens_before(self.prompt, cover), np.array(tokens, np.int32)])

    def rows_after(self, sequences: Sequence[IdArray]) -> list[FloatArray]:
        """The logits after each of ``sequences`` (``[S] int32``), ``[V]``, in as few passes as possible.

        Raises `engine.errors.Cancelled`, `engine.runtime.checkpoint.BudgetExceeded` or `engine.errors.DeviceError`.
        """
        return [row[: self.vocabulary.size] for row in self.cache.rows_after(sequences, self.checkpoint)]

    def prefetch(self, sequences: Sequence[IdArray]) -> None:
        """Run what several decode loops are about to ask for as one batch; they find it in the cache. See `rows_after`.

        A sequence that is too long is left out, because its loop ends.
        """
        fitting = [ids for ids in sequences if len(ids) <= self.cache.capacity]
        if self.companion is None:
            self.rows_after(fitting)
            return
        # In groups that leave a slot for each companion: otherwise one would push the other's prompt out of the cache.
        size = self.cache.slots // 2
        for group in (fitting[start : start + size] for start in range(0, len(fitting), size)):
            companions = map(self.companion, group)
            self.rows_after([*group, *(ids for ids in companions if ids is not None)])

    def decode(self, prompt: IdArray, cover: Cover, chooser: TokenChooser) -> Iterator[DecodeStep]:
        """The decode loop of this request."""
        return decode(
            self.ahead or self.cache, prompt, cover, chooser, self.vocabulary.size, self.checkpoint, self._known(cover)
        )

    def _known(self, cover: Cover) -> Callable[[FloatArray, Sequence[int]], FloatArray] | None:
        words, index, vocabulary = self.words, self.index, self.vocabulary
        if words is None or index is None:
            return None
        return lambda row, written: words.row(row, vocabulary.bytes_of(written)[cover.typed :], vocabulary, index)

    def write(self, candidate: Candidate, chooser: TokenChooser) -> Iterator[None]:
        """Decode ``candidate`` to its end. It yields after every token, so that a caller can look at what is decided.

        Raises `engine.errors.Cancelled` or `engine.errors.DeviceError`. If the budget runs out, the candidate ends.
        """
        tracker, token_bytes = candidate.tracker, self.vocabulary.token_bytes
        try:
            for step in self.decode(self.prompt, candidate.cover, chooser):
                if step.token in self.ends:
                    return tracker.finish("end")
                reason = tracker.push(token_bytes[step.token][step.typed :], step.logprob)
                if reason == "doubt":  # before this token
                    return None if candidate.tokens else self._keep_what_is_certain(candidate)
                candidate.tokens.append(step.token)
                candidate.logprob += step.logprob
                candidate.along.append((len(tracker.text), candidate.logprob))
                if reason is not None:
                    return None
                if len(candidate.tokens) >= self.stop.max_new_tokens:
                    return tracker.finish("length")
                yield
                if self.companion is not None:
                    self.prefetch([self.sequence(candidate.cover, candidate.tokens)])
            tracker.finish("context")
        except BudgetExceeded:
            tracker.finish("budget")

    def _keep_what_is_certain(self, candidate: Candidate) -> None:
        """Keep the certain beginning of a first token that was too doubtful."""
        if self.first is None:
            return
        least = self.stop.min_confidence
        text, logprob = agreed_prefix(self.first, candidate.cover, self.vocabulary, least)
        if text:
            candidate.tracker = StopTracker(self.stop, self.line_prefix)
            candidate.tracker.push(text)
            candidate.tracker.finish("doubt")
            candidate.logprob = logprob
            candidate.along.append((len(candidate.tracker.text), logprob))

    def write_together(self, candidates: Sequence[tuple[Candidate, TokenChooser]]) -> None:
        """Decode several candidates to their ends, one token each in turn. What they need next is run as one batch.

        Raises as `write`.
        """
        writers = [(candidate, self.write(candidate, chooser)) for candidate, chooser in candidates]
        while writers := [(candidate, writer) for candidate, writer in writers if _advance(writer)]:
            with suppress(BudgetExceeded):  # each will notice by itself
                self.prefetch([self.sequence(candidate.cover, candidate.tokens) for candidate, _ in writers])

    def judge(self, tokens: Sequence[int], typed: int, logprob: float = 0.0) -> StopTracker:
        """The state of a completion of ``tokens``, of which the first ``typed`` bytes were typed already.

        This is what `write` would have decided token by token, for tokens that come from elsewhere: `StopTracker.ended`
        is None while the completion may continue. No shorter beginning of ``tokens`` may have ended already.
        ``logprob`` is the natural log-probability of all of them.
        """
        tracker = StopTracker(self.stop, self.line_prefix)
        before, last = self.vocabulary.bytes_of(tokens[:-1]), tokens[-1]
        tracker.push(before[typed:])
        if tracker.ended is None and last in self.ends:
            tracker.finish("end")
        elif tracker.ended is None:
            tracker.push(self.vocabulary.token_bytes[last][max(0, typed - len(before)) :], logprob)
        if tracker.ended is None and len(tokens) >= self.stop.max_new_tokens:
            tracker.finish("length")
        return tracker


def _advance(writer: Iterator[None]) -> bool:
    """Write one more token; False at the end."""
    return next(writer, writer) is None
