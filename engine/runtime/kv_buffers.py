"""The keys and values of a graph between two forward passes.

`SharedBuffers` serve graphs whose attention reads past and writes present in one place (GroupQueryAttention): nothing
is copied when a sequence is rewound, and a batch is a range of adjacent slots.
"""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.manifest import GraphNames, KeyValueLayout
from engine.runtime.memory import cache_failure
from engine.runtime.ort import ort

BATCH_SLOTS = 8
"""Sequences that are held at once, and the largest batch. With more, a pass on a CPU gets no cheaper per sequence."""
TYPES = {"float32": np.float32, "float16": np.float16}


def layer_names(names: GraphNames, layout: KeyValueLayout) -> tuple[list[str], list[str]]:
    """The graph's names of past and of present: key and value of each layer in turn."""
    layers = range(layout.layers)
    past = [template.format(layer) for layer in layers for template in (names.past_key, names.past_value)]
    present = [template.format(layer) for layer in layers for template in (names.present_key, names.present_value)]
    return past, present


class SharedBuffers:
    """Two tensors for each layer, ``[slots, heads, length, head_size]``, each of them both past and present.

    Room for further slots is made when they are first used. ``kind`` is ``cpu`` or ``cuda``.
    """

    def __init__(self, names: GraphNames, layout: KeyValueLayout, length: int, kind: str, slots: int) -> None:
        """Reserve the first slot. Raises `DeviceError`, `DeviceMemoryError` if it does not fit."""
        self._slots = slots
        self._names = list(zip(*layer_names(names, layout), strict=True))
        self._layout = layout
        self._length = length
        self._kind = kind
        self._dtype = TYPES[layout.dtype]
        self._buffers: list[Any] = []
        self._held = 0
        # By the identity of a binding, which is held so that no later one gets the same.
        self._bound: dict[int, tuple[Any, int, int]] = {}
        self._reserve(1)

    def bind(self, binding: Any, first: int, count: int, start: int) -> None:
        """Make slots ``first`` to ``first + count`` past and present of the next run of ``binding``, always the same.

        ``start`` is where the run writes; it is not used here. Raises `DeviceError` (`DeviceMemoryError`).
        """
        self._reserve(first + count)
        if self._bound.get(id(binding)) != (binding, first, count):
            self.bind_slots(binding, first, count)
            self._bound[id(binding)] = (binding, first, count)

    def bind_slots(self, binding: Any, first: int, count: int) -> None:
        """Make existing slots the past and present of ``binding``. This holds until a further slot is used."""
        shape = self._shape(count)
        offset = first * int(np.prod(self._shape(1))) * np.dtype(self._dtype).itemsize
        for (past, present), buffer in zip(self._names, self._buffers, strict=True):
            address = (buffer.ctypes.data if self._kind == "cpu" else buffer.data_ptr()) + offset
            binding.bind_input(past, self._kind, 0, self._dtype, shape, address)
            binding.bind_output(present, self._kind, 0, self._dtype, shape, address)

    def keep(self, outputs: list[Any], end: int) -> None:
        """Nothing to do: what a run returned after its logits is in the buffers already."""

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of a slot to another. Raises `DeviceError` as `bind` does."""
        self._reserve(max(source, target) + 1)
        for buffer in self._buffers:
            buffer[target, :, start:end] = buffer[source, :, start:end]

    def save(self, slot: int, end: int) -> list[NDArray[Any]]:
        """Copies of the first ``end`` positions of a slot, ``[heads, end, head_size]`` for each tensor."""
        return [buffer[slot, :, :end].copy() for buffer in self._buffers]

    def restore(self, saved: list[NDArray[Any]], slot: int, start: int, end: int) -> None:
        """Bring the positions ``start`` to ``end`` back from copies. Raises `DeviceError` as `bind` does."""
        self._reserve(slot + 1)
        for buffer, copy in zip(self._buffers, saved, strict=True):
            buffer[slot, :, start:end] = copy[:, start:end]

    def _shape(self, slots: int) -> tuple[int, int, int, int]:
        return (slots, self._layout.heads, self._length, self._layout.head_size)

    def _reserve(self, slots: int) -> None:
        if slots <= self._held:
            return
        assert slots <= self._slots
        # All slots as soon as there are two: pages that are never written to take no memory.
        slots = self._slots if slots > 1 else 1
        try:
            buffers = [self._allocate(self._shape(slots)) for _ in self._names]
        except Exception as error:  # the system raises OSError, onnxruntime its own types
            raise cache_failure(error, self._length) from error
        for new, old in zip(buffers, self._buffers, strict=False):
            new[: self._held] = old
        self._buffers, self._held, self._bound = buffers, slots, {}

    def _allocate(self, shape: tuple[int, int, int, int]) -> Any:
        if self._kind == "cpu":
            # A private mapping, not memory of the allocator: pages that were never written to take no memory, and all
            # of it goes back to the system with the array.
            pages = mmap.mmap(-1, int(np.prod(shape)) * np.dtype(self._dtype).itemsize, access=mmap.ACCESS_COPY)
            array: NDArray[Any] = np.frombuffer(pages, self._dtype).reshape(shape)
            return array
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, self._dtype, self._kind, 0)
