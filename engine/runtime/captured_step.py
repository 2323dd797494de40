"""A decode step of fixed shapes and addresses. CUDA can record it once, as a *CUDA graph*, and then replay it.

A small model on a fast GPU spends much of a step on starting kernels one by one; a replay starts them together. A
replay reads and writes the same memory as the recorded step, so everything that changes from step to step is written
there: the token, and the attention mask. The mask is as wide as the cache, and its zeros say where the sequence ends.

onnxruntime records a run under the number in its run options; see `ordinary_options` for all other runs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.manifest import Manifest
from engine.runtime.kv_buffers import SharedBuffers
from engine.runtime.ort import ort
from engine.types import FloatArray

_NUMBER = "gpu_graph_id"


def can_be_captured(manifest: Manifest) -> bool:
    """Whether a graph has a step of fixed shapes, as the graphs of `midtoken export` do."""
    names = manifest.graph
    return manifest.key_value.shared and names.logits_positions is not None and names.position_ids is None


class CapturedStep:
    """A recorded step for the first slot of ``buffers``, which must not move while this is used."""

    def __init__(
        self, session: Any, manifest: Manifest, buffers: SharedBuffers, *, width: int, kind: str, number: int
    ) -> None:
        """``width`` is the length of the cache, ``number`` the number of this recording in ``session``."""
        self._session = session
        self._positions: NDArray[np.int64] = np.arange(width, dtype=np.int64)
        self._token = _on(np.zeros((1, 1), np.int64), kind)
        self._mask = _on(np.ones((1, width), np.int64), kind)
        self._row = _on(np.zeros(1, np.int64), kind)
        self._logits = _on(np.zeros((1, 1, manifest.vocabulary.head), np.float32), kind)
        names = manifest.graph
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(names.input_ids, self._token)
        self._binding.bind_ortvalue_input(names.attention_mask, self._mask)
        self._binding.bind_ortvalue_input(names.logits_positions, self._row)
        self._binding.bind_ortvalue_output(names.logits, self._logits)
        buffers.bind_slots(self._binding, 0, 1)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry(_NUMBER, str(number))

    def run(self, token: int, start: int) -> FloatArray:
        """Write ``token`` at the position ``start``; the logits after it, ``[1, rows of the head] float32``.

        Exceptions of onnxruntime are passed on.
        """
        self._token.update_inplace(np.array([[token]], np.int64))
        self._mask.update_inplace((self._positions <= start).astype(np.int64)[None])
        self._session.run_with_iobinding(self._binding, self._options)
        logits: FloatArray = self._logits.numpy()[0].copy()  # the next step writes into the same memory
        return logits


def ordinary_options() -> Any:
    """Run options for runs that are not recorded, in a session that records others."""
    options = ort.RunOptions()
    options.add_run_config_entry(_NUMBER, "-1")
    return options


def _on(array: NDArray[Any], kind: str) -> Any:
    return ort.OrtValue.ortvalue_from_numpy(array, kind, 0)
