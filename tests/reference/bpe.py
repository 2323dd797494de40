"""Byte-pair encoding in its obvious form (Sennrich et al. 2016, arXiv 1508.07909), on bytes."""

from collections.abc import Sequence
from itertools import pairwise


def encode(data: bytes, merges: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The pieces of one pre-token: merge the leftmost pair of the lowest rank until there is none."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    pieces = [bytes([byte]) for byte in data]
    while True:
        pairs = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not pairs:
            return pieces
        _, at = min(pairs)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
