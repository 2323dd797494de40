"""Small decoders for search and look-ahead: a vocabulary of single letters, an end, a fake session."""

import math

import numpy as np

from engine.config import StopParams
from engine.decoding.candidates import Decoder
from engine.healing.k_step import Cover
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.text.vocabulary import Vocabulary
from engine.types import CancellationToken, FloatArray, TokenIds
from tests.fakes import FakeSession, LogitsOf

END = 0
PROMPT: TokenIds = (1, 2, 1)


def letters(size: int) -> Vocabulary:
    """Id 0 ends; id 1 is ``a``, id 2 is ``b``, ..."""
    token_bytes = (b"", *(bytes([ord("a") + number]) for number in range(size - 1)))
    return Vocabulary(token_bytes, frozenset([END]), np.arange(1, size, dtype=np.int32), 1, "byte-level")


def logs(*probabilities: float) -> FloatArray:
    """A row of logits that gives these probabilities."""
    row: FloatArray = np.log(np.array(probabilities)).astype(np.float32)
    return row


def scene_of(
    model: LogitsOf,
    size: int,
    length: int,
    *,
    cancel: CancellationToken | None = None,
    deadline: float = math.inf,
    slots: int = 8,
) -> tuple[Decoder, FakeSession]:
    session = FakeSession(model, context_length=64, slots=slots)
    decoder = Decoder(
        cache=TokenCache(session),
        prompt=np.array(PROMPT, np.int32),
        vocabulary=letters(size),
        ends=frozenset([END]),
        stop=StopParams(max_new_tokens=length),
        line_prefix="",
        checkpoint=Checkpoint(cancel or CancellationToken(), deadline),
    )
    return decoder, session


def plain_covers(model: LogitsOf, *, kept: int = len(PROMPT)) -> list[Cover]:
    """Every token after the prompt, with nothing typed, best first."""
    logits = model(PROMPT[:kept]).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum())
    order = np.argsort(-logprobs, kind="stable").tolist()
    return [Cover(kept, (), token, 0, float(logprobs[token])) for token in order]
