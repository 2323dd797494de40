"""The output embedding of a model, reduced to a few columns. Basis-aware truncation needs it from the model folder."""

from pathlib import Path

import numpy as np

from engine.errors import ManifestError, RequestError
from engine.model_folder.manifest import Manifest
from engine.types import FloatArray

OUTPUT_BASIS_FILE = "output_basis.npy"
"""``[V, c] float32``: the c leading left singular vectors of the output embedding; V is at least the number of the
tokenizer's entries.
"""


def load_output_basis(folder: Path, manifest: Manifest) -> FloatArray:
    """Read the basis of a folder's entries, ``[tokenizer entries, c] float32``.

    Raises `RequestError` if the folder has none, `ManifestError` if the file is not such a matrix.
    """
    if OUTPUT_BASIS_FILE not in manifest.files:
        raise RequestError(
            f"bat needs {OUTPUT_BASIS_FILE}, which the model folder does not hold; "
            "export the model again with --output-basis 20"
        )
    path = folder / OUTPUT_BASIS_FILE
    try:
        basis = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read ({error}); export the model again") from None
    rows = manifest.vocabulary.tokenizer
    good = basis.ndim == 2 and basis.dtype == np.float32 and len(basis) >= rows and basis.shape[1] >= 1
    if not (good and np.isfinite(basis).all()):
        raise ManifestError(f"{path} is no float32 matrix of at least {rows} rows; export the model again")
    return np.ascontiguousarray(basis[:rows])
