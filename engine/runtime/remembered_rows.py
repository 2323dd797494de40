"""The last rows of logits, by the token sequence that they follow."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.types import FloatArray

REMEMBERED_ROWS = 64
"""Rows of logits kept: 4 MB with 16k entries, 51 MB with 200k."""


class RememberedRows:
    """Rows of logits, each ``[V] float32``, and one number computed from each. The least recently used row goes first.

    A key is the sequence before the row: the bytes of its ``[S] int32`` ids.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[bytes, FloatArray] = OrderedDict()
        # Rows after drafted tokens: of the last draft only, because most rows of a wrong one are never used.
        self._drafted: dict[bytes, FloatArray] = {}
        self._totals: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows or key in self._drafted

    def get(self, key: bytes) -> FloatArray | None:
        """The row after the sequence, or None."""
        if key in self._rows:
            self._rows.move_to_end(key)
        elif key in self._drafted:
            return self.put(key, own_copy(self._drafted.pop(key)))
        return self._rows.get(key)

    def put(self, key: bytes, row: FloatArray) -> FloatArray:
        """Remember ``row``, and return it."""
        self._rows[key] = row
        if len(self._rows) > REMEMBERED_ROWS:
            self._rows.popitem(last=False)
        return row

    def put_drafted(self, rows: Mapping[bytes, FloatArray]) -> None:
        """Remember the rows after the tokens of one draft, and forget those of the previous draft."""
        self._drafted = dict(rows)

    def total(self, key: bytes, compute: Callable[[], float]) -> float:
        """What ``compute`` returns for the row after the sequence; it must return the same for equal rows."""
        total = self._totals.get(key)
        if total is None:
            total = self._totals[key] = compute()
            if len(self._totals) > REMEMBERED_ROWS:
                self._totals.popitem(last=False)
        return total

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._drafted.clear()
        self._totals.clear()


def own_copy(row: FloatArray) -> FloatArray:
    """A read-only copy of one row of a larger array, so that the array does not stay in memory with it."""
    copy = row.copy()
    copy.flags.writeable = False
    return copy


def stacked(rows: Sequence[FloatArray]) -> FloatArray:
    """The rows as one read-only array, ``[K, V]``; a single row is not copied."""
    if len(rows) == 1:
        return rows[0][None]
    array = np.stack(rows)
    array.flags.writeable = False
    return array
