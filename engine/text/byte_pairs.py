"""Which bytes can stand side by side in an entry, and the bytes at the ends of characters, for whole arrays at once."""

import numpy as np
from numpy.typing import NDArray

from engine.text.vocabulary import Vocabulary


def inner_pairs(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """``[256, 256] bool``: whether two bytes stand side by side in any entry."""
    inner = np.zeros((256, 256), np.bool_)
    data = np.frombuffer(b"".join(vocabulary.token_bytes), np.uint8)
    if len(data) > 1:
        ends = np.cumsum(np.fromiter(map(len, vocabulary.token_bytes), np.int64, vocabulary.size))
        together = np.ones(len(data), np.bool_)
        together[ends[(ends > 0) & (ends < len(data))] - 1] = False
        inside = np.flatnonzero(together[:-1])
        inner[data[inside], data[inside + 1]] = True
    return inner


def first_bytes(code_points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The first byte of the UTF-8 of each code point."""
    limits = [code_points < 0x80, code_points < 0x800, code_points < 0x10000]
    values = [code_points, 0xC0 | code_points >> 6, 0xE0 | code_points >> 12]
    return np.select(limits, values, 0xF0 | code_points >> 18)


def last_bytes(code_points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The last byte of the UTF-8 of each code point."""
    return np.where(code_points < 0x80, code_points, 0x80 | code_points & 0x3F)
