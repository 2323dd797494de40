"""The output embedding reduced to its leading directions, written into a model folder for basis-aware truncation.

The engine asks whether another distribution could have led to the same hidden gradient. Only the directions of the
embedding with the largest singular values matter for that (arXiv 2310.01693). The checkpoint's weights are reduced
before quantisation, because the truncation depends on the trained values.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from engine.model_folder.output_basis import OUTPUT_BASIS_FILE
from onnx_export.weights import EMBEDDINGS, HEADS, find, read_rows, tensor_places

MOST_COLUMNS = 256


def write_output_basis(checkpoint: Path, folder: Path, columns: int) -> None:
    """Write ``output_basis.npy``, ``[V, columns] float32``, into ``folder``.

    Raises ExportError if ``columns`` is out of range or the checkpoint's output embedding cannot be found.
    """
    weights = _output_embedding(checkpoint)
    most = min(MOST_COLUMNS, *weights.shape)
    if not 1 <= columns <= most:
        raise ExportError(f"--output-basis is {columns}; it must be at least 1 and at most {most}")
    np.save(folder / OUTPUT_BASIS_FILE, reduce_embedding(weights, columns), allow_pickle=False)


def reduce_embedding(weights: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """The ``columns`` leading left singular vectors of ``weights``, ``[V, d]``; orthonormal, ``[V, columns]``."""
    wide = weights.astype(np.float64)
    # Through the small matrix [d, d], because a decomposition of all V rows would take minutes and gigabytes.
    values, vectors = np.linalg.eigh(wide.T @ wide)
    leading = slice(len(values) - columns, None)
    basis = wide @ (vectors[:, leading] / np.sqrt(np.maximum(values[leading], np.finfo(np.float64).tiny)))
    return np.ascontiguousarray(basis[:, ::-1], np.float32)


def _output_embedding(checkpoint: Path) -> NDArray[np.float32]:
    places = tensor_places(checkpoint)
    place = find(places, HEADS) or find(places, EMBEDDINGS)
    if place is None:
        raise ExportError(f"{checkpoint} has no output embedding under a known name; export without --output-basis")
    return read_rows(place)
