"""The loop: a healed first step, then one token after the other, as long as somebody asks for the next.

It is a generator, so that nothing is computed that nobody takes: the forward pass over a token is made when the token
after it is wanted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.healing.k_step import Cover
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import History, TokenChooser, log_probability
from engine.types import FloatArray, IdArray


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """One token written: its id, how many of its leading bytes were typed already, its natural log-probability."""

    token: int
    typed: int
    logprob: float


def decode(
    cache: TokenCache,
    prompt: IdArray,
    cover: Cover,
    chooser: TokenChooser,
    vocabulary_size: int,
    checkpoint: Checkpoint,
    weigh: Callable[[FloatArray, Sequence[int]], FloatArray] | None = None,
) -> Iterator[DecodeStep]:
    """Yield the steps of one completion of ``prompt`` (``[S] int32``) that begins with ``cover``, without an end.

    ``weigh`` makes the row that is chosen from out of the model's (``[V] float32``) and the tokens written so far.
    Several iterators may take turns on one cache. One ends by itself only when the cache is full. Raises
    `engine.errors.Cancelled`, `engine.runtime.checkpoint.BudgetExceeded` or `engine.errors.DeviceError`.
    """
    # 1. The first token is already chosen: it needs no forward pass to be shown.
    yield DecodeStep(cover.token, cover.typed, cover.logprob)
    written = [cover.token]
    # 2. What stands before the cover's token; a further candidate finds most of it in the cache.
    before = tokens_before(prompt, cover)
    ids: IdArray = np.empty(cache.capacity, np.int32)
    ids[: len(before)] = before
    history = History(before, written)
    # 3. Ordinary decoding.
    for length in range(len(before), cache.capacity):
        ids[length] = written[-1]
        logits = cache.row_after(ids[: length + 1], checkpoint)[:vocabulary_size]
        if weigh is not None:
            logits = weigh(logits, written)
        written.append(chooser.next_token(logits, history))
        yield DecodeStep(written[-1], 0, log_probability(logits, written[-1]))


def tokens_before(prompt: IdArray, cover: Cover) -> IdArray:
    """What stands before the token of ``cover`` in ``prompt`` (``[S] int32``), ``[T] int32``."""
    return np.concatenate([prompt[: cover.kept], np.array(cover.extra, np.int32)])
