"""Rows of logits that are remembered, and rows of a draft."""

import numpy as np

from engine.runtime.remembered_rows import REMEMBERED_ROWS, RememberedRows, own_copy
from engine.types import FloatArray


def _row(value: int) -> FloatArray:
    return np.full(4, value, np.float32)


def _key(number: int) -> bytes:
    return np.array([number], np.int32).tobytes()


def test_the_least_recently_used_row_goes_first():
    rows = RememberedRows()
    for number in range(REMEMBERED_ROWS):
        rows.put(_key(number), _row(number))
    assert rows.get(_key(0)) is not None
    rows.put(_key(REMEMBERED_ROWS), _row(0))
    assert _key(0) in rows
    assert _key(1) not in rows


def test_rows_of_a_draft_last_until_the_next_draft_unless_they_were_used():
    rows = RememberedRows()
    rows.put_drafted({_key(1): _row(1), _key(2): _row(2)})
    used = rows.get(_key(1))
    rows.put_drafted({})
    assert used is not None
    assert rows.get(_key(1)) is used
    assert not used.flags.writeable
    assert rows.get(_key(2)) is None


def test_a_total_is_computed_once_and_forgotten_with_the_rows():
    rows = RememberedRows()
    calls: list[int] = []

    def compute() -> float:
        calls.append(1)
        return 0.5

    assert [rows.total(_key(1), compute) for _ in range(3)] == [0.5] * 3
    assert len(calls) == 1
    rows.clear()
    rows.total(_key(1), compute)
    assert len(calls) == 2


def test_a_copy_does_not_keep_the_array_that_it_is_a_part_of():
    table = np.zeros((3, 4), np.float32)
    copy = own_copy(table[1])
    assert copy.base is None
    assert not copy.flags.writeable
