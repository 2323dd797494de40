"""Keys and values of graphs that take a past of one length and return a present of another.

Other exporters make such graphs: every pass returns new tensors with the new positions at their end. So one sequence is
held, in the tensors of the last pass. Continuing from its end costs nothing. Going back cuts the tensors, which is a
copy.
"""

from typing import Any

import numpy as np

from engine.model_folder.manifest import GraphNames, KeyValueLayout
from engine.runtime.kv_buffers import TYPES, layer_names
from engine.runtime.memory import cache_failure
from engine.runtime.ort import ort


class SeparateTensors:
    """Two tensors for each layer, ``[1, heads, length so far, head_size]``; the interface is that of `SharedBuffers`.

    On ``cuda`` the tensors stay on the device from pass to pass; only cutting them goes through host memory.
    """

    def __init__(self, names: GraphNames, layout: KeyValueLayout, kind: str) -> None:
        self._past, self._present = layer_names(names, layout)
        self._empty = np.zeros((1, layout.heads, 0, layout.head_size), TYPES[layout.dtype])
        self._kind = kind
        self._held: list[Any] = []
        self._length = 0

    def bind(self, binding: Any, first: int, count: int, start: int) -> None:
        """Make the first ``start`` positions the past of the next run of ``binding``, and ask for its present.

        Raises `DeviceError` if the cut tensors cannot be made, `DeviceMemoryError` if memory runs out.
        """
        assert (first, count) == (0, 1), "graphs of this layout hold one sequence"
        assert start <= self._length
        if start < self._length or not self._held:
            self._cut(start)
        for name, tensor in zip(self._past, self._held, strict=True):
            binding.bind_ortvalue_input(name, tensor)
        for name in self._present:
            binding.bind_output(name, self._kind)

    def keep(self, outputs: list[Any], end: int) -> None:
        """Take what a run has returned after its logits as the tensors of ``end`` positions."""
        self._held, self._length = outputs, end

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Never called, because there is only one slot."""
        raise AssertionError("graphs of this layout hold one sequence")

    def _cut(self, length: int) -> None:
        try:
            cut = [np.ascontiguousarray(tensor.numpy()[:, :, :length]) for tensor in self._held]
            arrays = cut if length else [self._empty] * len(self._past)
            self._held = [ort.OrtValue.ortvalue_from_numpy(array, self._kind, 0) for array in arrays]
        except Exception as error:  # numpy raises MemoryError, onnxruntime its own types
            raise cache_failure(error, length) from error
        self._length = length
