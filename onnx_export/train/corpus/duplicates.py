"""Near duplicates by MinHash (Broder 1997): files that share most of their runs of five words.

Sixty lines of numpy replace a library: signatures of two hundred megabytes of text take a minute.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 5
SIMILARITY = 0.7  # of the sets of shingles, Jaccard
HASHES = 64
BAND_ROWS = 4  # 16 bands of 4: a pair at 0.7 is missed once in a hundred times
WORD = re.compile(r"\w+")


def near_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each text the index of an earlier, kept text that it repeats, or None if the text is kept."""
    rng = np.random.default_rng(7)
    factors = rng.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
    offsets = rng.integers(0, 2**63, HASHES, dtype=np.uint64)
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    kept: dict[int, NDArray[np.uint64]] = {}
    result: list[int | None] = []
    for index, text in enumerate(texts):
        found = shingles(text)
        signature = _signature(found, factors, offsets)
        bands = [(start, signature[start : start + BAND_ROWS].tobytes()) for start in range(0, HASHES, BAND_ROWS)]
        candidates = sorted({other for band in bands for other in buckets.get(band, ())})
        twin = next((other for other in candidates if jaccard(found, kept[other]) >= SIMILARITY), None)
        result.append(twin)
        if twin is None:
            kept[index] = found
            for band in bands:
                buckets[band].append(index)
    return result


def shingles(text: str) -> NDArray[np.uint64]:
    """Sorted distinct hashes of the runs of five words, uint64; of all words as one run in a shorter text."""
    words = np.array([zlib.crc32(word.encode()) for word in WORD.findall(text)], dtype=np.uint64)
    length = min(SHINGLE_WORDS, len(words))
    if not length:
        return np.zeros(1, dtype=np.uint64)
    total = np.zeros(len(words) - length + 1, dtype=np.uint64)
    for offset in range(length):
        total = total * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + len(total)]
    return np.unique(total)


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Size of the intersection over size of the union of two sorted sets."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _signature(
    found: NDArray[np.uint64], factors: NDArray[np.uint64], offsets: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    lowest = np.full(HASHES, np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(found), 8_192):  # [8192, 64] products stay in the processor's cache
        block = found[start : start + 8_192, None] * factors + offsets
        lowest = np.minimum(lowest, block.min(axis=0))
    return lowest
