"""The decode loop: a healed first step, then one token at a time, as long as the caller asks for the next.

It is a generator, so it computes nothing that is not used: the forward pass over a token runs when the next token is
asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.healing.k_step import Cover
from engine.runtime.checkpoint import Checkpoint
from engine.sampling import History, TokenChooser, log_probability
from engine.types import FloatArray, IdArray


class Rows(Protocol):
    """The source of the loop's rows: a `TokenCache`, or a `Drafter` over one."""

    @property
    def capacity(self) -> int:
        """Tokens that a sequence may have."""

    def row_after(self, ids: IdArray, checkpoint: Callable[[], None]) -> FloatArray:
        """The logits after the last token of ``ids`` (``[S] int32``, S >= 1), ``[V] float32``."""


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """One token that was written: its id, how many of its leading bytes were typed already, and its natural
    log-probability.
    """

    token: int
    typed: int
    logprob: float


def decode(
    rows: Rows,
    prompt: IdArray,
    cover: Cover,
    chooser: TokenChooser,
    vocabulary_size: int,
    checkpoint: Checkpoint,
    weigh: Callable[[FloatArray, Sequence[int]], FloatArray] | None = None,
) -> Iterator[DecodeStep]:
    """Yield the steps of one completion of ``prompt`` (``[S] int32``) that begins with ``cover``.

    ``weigh`` takes the model's row (``[V] float32``) and the tokens written so far, and returns the row to choose from.
    Several iterators may take turns on one source of rows. An iterator ends by itself only when the cache is full.
    Raises `engine.errors.Cancelled`, `engine.runtime.checkpoint.BudgetExceeded` or `engine.errors.DeviceError`.
    """
    # 1. The first token is already chosen, so yielding it needs no forward pass.
    yield DecodeStep(cover.token, cover.typed, cover.logprob)
    written = [cover.token]
    # 2. The tokens before the cover's token. A further candidate finds most of them in the cache.
    before = tokens_before(prompt, cover)
    ids: IdArray = np.empty(rows.capacity, np.int32)
    ids[: len(before)] = before
    history = History(before, written)
    # 3. Ordinary decoding.
    for length in range(len(before), rows.capacity):
        ids[length] = written[-1]
        logits = rows.row_after(ids[: length + 1], checkpoint)[:vocabulary_size]
        if weigh is not None:
            logits = weigh(logits, written)
        written.append(chooser.next_token(logits, history))
        yield DecodeStep(written[-1], 0, log_probability(logits, written[-1]))


def tokens_before(prompt: IdArray, cover: Cover) -> IdArray:
    """The ids before the token of ``cover``, ``[T] int32``; ``prompt`` is ``[S] int32``."""
    return np.concatenate([prompt[: cover.kept], np.array(cover.extra, np.int32)])
