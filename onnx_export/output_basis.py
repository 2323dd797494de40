"""The output embedding reduced to its leading directions, written into a model folder for basis-aware truncation.

The engine asks whether another distribution could have led to the same hidden gradient; of the embedding only the
directions with the largest singular values matter for that (arXiv 2310.01693). The checkpoint's weights are reduced
before quantisation: the truncation is about what training has fixed.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from engine.output_basis import OUTPUT_BASIS_FILE

MOST_COLUMNS = 256
_HEADS = ("lm_head.weight", "embed_out.weight")
_TIED = ("embed_tokens.weight", "wte.weight", "embed_in.weight")


def write_output_basis(checkpoint: Path, folder: Path, columns: int) -> None:
    """Write ``output_basis.npy``, ``[V, columns] float32``, into ``folder``.

    Raises ExportError where ``columns`` is out of range or the checkpoint's output embedding cannot be found.
    """
    weights = _output_embedding(checkpoint)
    most = min(MOST_COLUMNS, *weights.shape)
    if not 1 <= columns <= most:
        raise ExportError(f"--output-basis is {columns}; it must be at least 1 and at most {most}")
    np.save(folder / OUTPUT_BASIS_FILE, reduce_embedding(weights, columns), allow_pickle=False)


def reduce_embedding(weights: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """The ``columns`` leading left singular vectors of ``weights``, ``[V, d]``; orthonormal, ``[V, columns]``."""
    wide = weights.astype(np.float64)
    # By way of the small matrix [d, d]: a decomposition of all V rows would take minutes and gigabytes.
    values, vectors = np.linalg.eigh(wide.T @ wide)
    leading = slice(len(values) - columns, None)
    basis = wide @ (vectors[:, leading] / np.sqrt(np.maximum(values[leading], np.finfo(np.float64).tiny)))
    return np.ascontiguousarray(basis[:, ::-1], np.float32)


def _output_embedding(checkpoint: Path) -> NDArray[np.float32]:
    from safetensors import safe_open

    found: dict[str, tuple[Path, str]] = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no dict
                for ending in (*_HEADS, *_TIED):
                    if name.endswith(ending):
                        found.setdefault(ending, (path, name))
    for ending in (*_HEADS, *_TIED):
        if ending in found:
            path, name = found[ending]
            with safe_open(path, framework="pt") as tensors:
                weights: NDArray[np.float32] = tensors.get_tensor(name).float().numpy()
            return weights
    raise ExportError(f"{checkpoint} has no output embedding under a known name; export without --output-basis")
