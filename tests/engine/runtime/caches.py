"""Token caches over a fake session, and the same logits computed from scratch."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from engine.runtime.token_cache import TokenCache
from engine.types import FloatArray, IdArray
from tests.fakes import FakeSession, hash_model

SIZE = 7
# Logits that depend on the whole history: a single wrong token anywhere is noticed.
MODEL = hash_model(SIZE, order=1000)
tokens = st.integers(0, SIZE - 1)


def ids_of(*values: int) -> IdArray:
    return np.array(values, np.int32)


def from_scratch(ids: Sequence[int], rows: Sequence[int]) -> list[FloatArray]:
    return [MODEL(tuple(ids[: row + 1])) for row in rows]


def nothing() -> None:
    pass


def make(*, chunk: int = 3, context_length: int = 64, slots: int = 4) -> tuple[TokenCache, FakeSession]:
    session = FakeSession(MODEL, context_length=context_length, slots=slots)
    return TokenCache(session, chunk=chunk), session
