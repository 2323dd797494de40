"""Rows of logits for the tests of sampling."""

import math

import numpy as np
from hypothesis import strategies as st

from engine.types import FloatArray

INF = math.inf


def row(*values: float) -> FloatArray:
    """A read-only row, as the cache returns rows: nothing may write into one."""
    return frozen(np.array(values, np.float32))


def frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values


def of_probabilities(*values: float) -> FloatArray:
    with np.errstate(divide="ignore"):
        return frozen(np.log(np.array(values)).astype(np.float32))


def support(logits: FloatArray) -> set[int]:
    return set(np.flatnonzero(logits > -INF).tolist())


finite = st.floats(-80, 80, width=32)
rows = (
    st.lists(st.one_of(finite, st.just(-INF)), min_size=1, max_size=12)
    .filter(lambda values: max(values) > -INF)
    .map(lambda values: row(*values))
)
"""Any row from which something can be drawn."""
