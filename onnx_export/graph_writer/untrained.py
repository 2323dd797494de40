"""Rows of an embedding that were never trained, found chunk by chunk. `onnx_export.weights` has the rule."""

import hashlib

import numpy as np

from onnx_export.graph_writer.weights import Matrix
from onnx_export.weights import SMALL_NORM


def untrained_of(matrix: Matrix, count: int) -> tuple[int, ...]:
    """The rows that are short or equal to another row, among the first ``count``, ascending."""
    norms = np.empty(matrix.rows, np.float32)
    digests: list[bytes] = []
    for start, stop in matrix.chunks():
        rows = np.ascontiguousarray(matrix.floats(start, stop))
        norms[start:stop] = np.linalg.norm(rows, axis=1)
        digests += [hashlib.blake2b(row.data, digest_size=12).digest() for row in rows]
    short = norms[:count] < SMALL_NORM * float(np.median(norms[:count]))
    _, inverse, counts = np.unique(np.array(digests, "S12"), return_inverse=True, return_counts=True)
    repeated = counts[inverse.ravel()[:count]] > 1
    return tuple(np.flatnonzero(short | repeated).tolist())
