"""The keys and values of a graph between two forward passes.

`SharedBuffers` serve graphs whose attention reads past and writes present in one place (GroupQueryAttention): nothing
is copied when a sequence is rewound, and a batch is a range of adjacent slots.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.manifest import GraphNames, KeyValueLayout
from engine.runtime.kv_memory import HostMemory, KeyValueMemory, Number
from engine.runtime.memory import cache_failure

BATCH_SLOTS = 8
"""Sequences that are held at once on a CPU unless the caller asks for others. With more, a pass there gets no cheaper
per sequence.
"""
TYPES: dict[str, Number] = {"float32": np.float32, "float16": np.float16}


def layer_names(names: GraphNames, layout: KeyValueLayout) -> tuple[list[str], list[str]]:
    """The graph's names of past and of present: key and value of each layer in turn."""
    layers = range(layout.layers)
    past = [template.format(layer) for layer in layers for template in (names.past_key, names.past_value)]
    present = [template.format(layer) for layer in layers for template in (names.present_key, names.present_value)]
    return past, present


def slot_bytes(layout: KeyValueLayout, length: int) -> int:
    """The memory that a slot of ``length`` positions takes."""
    return 2 * layout.layers * layout.heads * layout.head_size * np.dtype(TYPES[layout.dtype]).itemsize * length


class SharedBuffers:
    """Two tensors for each layer, ``[slots, heads, length, head_size]``, each of them both past and present.

    A pass over one token of each of several slots is a batch of adjacent slots, on the CPU and with CUDA. As the
    documentation of GroupQueryAttention says:

    - ``seqlens_k`` has the length of each row, less one; the graph sums the rows of the attention mask for it. So rows
      may differ in length, and what lies behind the end of a row is not read. A row that nobody asked for needs a token
      and a position to write too.
    - ``total_sequence_length``, the width of the mask, is the length of the longest row. If that is one, the pass
      counts as a first prompt; that makes no difference for single tokens.
    - A pass over several tokens of a sequence that has a past may have one row only.
    """

    def __init__(self, names: GraphNames, layout: KeyValueLayout, memory: KeyValueMemory) -> None:
        """Reserve the first slot of ``memory``. Raises `DeviceError`, `DeviceMemoryError` if it does not fit."""
        self._names = list(zip(*layer_names(names, layout), strict=True))
        self._memory = memory
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
        memory = self._memory
        shape = (count, *memory.shape[1:])
        # A slot is a multiple of 16 bytes, as kernels want addresses: the operator takes heads of 8 n numbers only.
        offset = first * int(np.prod(shape[1:])) * np.dtype(memory.dtype).itemsize
        for (past, present), begin in zip(self._names, memory.addresses(), strict=True):
            binding.bind_input(past, memory.kind, 0, memory.dtype, shape, begin + offset)
            binding.bind_output(present, memory.kind, 0, memory.dtype, shape, begin + offset)

    def keep(self, outputs: list[Any], end: int) -> None:
        """Nothing to do: what a run returned after its logits is in the buffers already."""

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of a slot to another. Raises `DeviceError` as `bind` does."""
        self._reserve(max(source, target) + 1)
        self._memory.copy(source, target, start, end)

    def save(self, slot: int, end: int) -> list[NDArray[Any]]:
        """Copies of the first ``end`` positions of a slot, ``[heads, end, head_size]`` for each tensor. Only memory of
        this process is saved.
        """
        assert isinstance(self._memory, HostMemory)
        return self._memory.save(slot, end)

    def restore(self, saved: Sequence[NDArray[Any]], slot: int, start: int, end: int) -> None:
        """Bring the positions ``start`` to ``end`` back from copies. Raises `DeviceError` as `bind` does."""
        self._reserve(slot + 1)
        assert isinstance(self._memory, HostMemory)
        self._memory.restore(saved, slot, start, end)

    def _reserve(self, slots: int) -> None:
        assert slots <= self._memory.shape[0]
        try:
            if self._memory.reserve(slots):
                self._bound = {}
        except Exception as error:  # the system raises OSError, onnxruntime its own types
            raise cache_failure(error, self._memory.shape[2]) from error
