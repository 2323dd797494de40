"""Writing one candidate: the decode loop, watched for the completion's end. Every strategy writes and judges by it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.config import StopParams
from engine.decode import BudgetExceeded, Checkpoint, Step, decode
from engine.healing import Cover
from engine.kv_cache import TokenCache
from engine.sampling import TokenChooser
from engine.stopping import StopTracker
from engine.types import IdArray
from engine.vocabulary import Vocabulary


@dataclass(slots=True)
class Candidate:
    """A completion while it is written. ``logprob`` is natural, summed over ``tokens``, an end token not counted."""

    cover: Cover
    tracker: StopTracker
    tokens: int = 0
    logprob: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One request after its prefill: everything that its candidates share.

    ``prompt`` is ``[S] int32``; ``ends`` are the ids that end a completion; ``line_prefix`` is the cursor's line before
    the cursor.
    """

    cache: TokenCache
    prompt: IdArray
    vocabulary: Vocabulary
    ends: frozenset[int]
    stop: StopParams
    line_prefix: str
    checkpoint: Checkpoint

    def start(self, cover: Cover) -> Candidate:
        """An empty candidate that will begin with ``cover``."""
        return Candidate(cover, StopTracker(self.stop, self.line_prefix))

    def before(self, cover: Cover) -> IdArray:
        """The tokens that stand before the cover's token, ``[S] int32``."""
        return np.concatenate([self.prompt[: cover.kept], np.array(cover.extra, np.int32)])

    def decode(self, prompt: IdArray, cover: Cover, chooser: TokenChooser) -> Iterator[Step]:
        """The decode loop on this request's cache."""
        return decode(self.cache, prompt, cover, chooser, self.vocabulary.size, self.checkpoint)

    def write(self, candidate: Candidate, chooser: TokenChooser) -> Iterator[None]:
        """Decode ``candidate`` to its end; a pause after every token, where a caller may look at what is decided.

        Raises `engine.errors.Cancelled` or `engine.errors.DeviceError`; a budget that runs out is an end.
        """
        tracker, token_bytes = candidate.tracker, self.vocabulary.token_bytes
        try:
            for step in self.decode(self.prompt, candidate.cover, chooser):
                if step.token in self.ends:
                    return tracker.finish("end")
                candidate.tokens += 1
                candidate.logprob += step.logprob
                tracker.push(token_bytes[step.token][step.typed :])
                yield
                if tracker.ended is not None:
                    return None
                if candidate.tokens >= self.stop.max_new_tokens:
                    return tracker.finish("length")
            tracker.finish("context")
        except BudgetExceeded:
            tracker.finish("budget")

    def judge(self, tokens: Sequence[int], typed: int) -> StopTracker:
        """Where a completion of ``tokens`` stands, the first ``typed`` bytes of which were typed already.

        What `write` would have decided token by token, for tokens that come from elsewhere: `StopTracker.ended` is None
        while it may go on. No beginning of ``tokens`` may have ended.
        """
        tracker = StopTracker(self.stop, self.line_prefix)
        ended = tokens[-1] in self.ends
        tracker.push(self.vocabulary.bytes_of(tokens[:-1] if ended else tokens)[typed:])
        if tracker.ended is None and ended:
            tracker.finish("end")
        elif tracker.ended is None and len(tokens) >= self.stop.max_new_tokens:
            tracker.finish("length")
        return tracker
