"""Where keys and values lie: memory of this process, or memory of a device, which numpy cannot reach.

Either is a list of tensors ``[slots, heads, length, head_size]`` that graphs read and write in place, by address.
"""

import mmap
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.runtime.ort import ort

Shape: TypeAlias = tuple[int, int, int, int]
"""Slots, heads, positions, numbers of a head."""
Number: TypeAlias = type[np.float32] | type[np.float16]


class KeyValueMemory(Protocol):
    """What `engine.runtime.kv_buffers.SharedBuffers` needs. ``shape`` is that of a tensor with all slots, ``kind`` the
    device as onnxruntime names it. Exceptions of numpy, the system or onnxruntime are passed on.
    """

    shape: Shape
    dtype: Number
    kind: str

    def reserve(self, slots: int) -> bool:
        """Have room for the first ``slots`` slots; whether the tensors are new, with other addresses."""

    def addresses(self) -> list[int]:
        """The address of each tensor."""

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of a slot to another, in each tensor."""


class HostMemory:
    """Memory of this process. It begins with one slot. All others are made when a second one is used, because pages
    that are never written to take no memory.
    """

    kind = "cpu"

    def __init__(self, tensors: int, shape: Shape, dtype: Number) -> None:
        self.shape, self.dtype = shape, dtype
        self._count = tensors
        self._tensors: list[NDArray[Any]] = []

    def reserve(self, slots: int) -> bool:
        """See `KeyValueMemory`. What was written stays."""
        held = len(self._tensors[0]) if self._tensors else 0
        if slots <= held:
            return False
        made = self.shape[0] if slots > 1 else 1
        tensors = [self._allocate((made, *self.shape[1:])) for _ in range(self._count)]
        for new, old in zip(tensors, self._tensors, strict=False):  # at first there are no old ones
            new[:held] = old
        self._tensors = tensors
        return True

    def addresses(self) -> list[int]:
        """See `KeyValueMemory`."""
        return [int(tensor.ctypes.data) for tensor in self._tensors]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `KeyValueMemory`."""
        for tensor in self._tensors:
            tensor[target, :, start:end] = tensor[source, :, start:end]

    def save(self, slot: int, end: int) -> list[NDArray[Any]]:
        """Copies of the first ``end`` positions of a slot, ``[heads, end, head_size]`` for each tensor."""
        return [tensor[slot, :, :end].copy() for tensor in self._tensors]

    def restore(self, saved: Sequence[NDArray[Any]], slot: int, start: int, end: int) -> None:
        """Bring the positions ``start`` to ``end`` back from copies."""
        for tensor, copy in zip(self._tensors, saved, strict=True):
            tensor[slot, :, start:end] = copy[:, start:end]

    def _allocate(self, shape: Shape) -> NDArray[Any]:
        # A private mapping, not memory of the allocator: pages that were never written to take no memory, and all of it
        # goes back to the system with the array.
        pages = mmap.mmap(-1, int(np.prod(shape)) * np.dtype(self.dtype).itemsize, access=mmap.ACCESS_COPY)
        array: NDArray[Any] = np.frombuffer(pages, self.dtype).reshape(shape)
        return array


class DeviceMemory:
    """Memory of the device ``kind``. It has all slots from the beginning: on a device, memory
    that nobody writes to is taken too, and a pass that finds none left fails.
    """

    def __init__(self, tensors: int, shape: Shape, dtype: Number, kind: str, providers: Sequence[str]) -> None:
        """``providers`` are onnxruntime's names of what runs there."""
        self.shape, self.dtype, self.kind = shape, dtype, kind
        self._count = tensors
        self._providers = providers
        self._tensors: list[Any] = []
        self._mover: _Mover | None = None

    def reserve(self, slots: int) -> bool:
        """See `KeyValueMemory`."""
        if self._tensors:
            return False
        # Zeros, so that no kernel finds NaN where it multiplies what its mask hides by nothing.
        self._tensors = [
            ort.OrtValue.ortvalue_from_numpy(np.zeros(self.shape, self.dtype), self.kind, 0) for _ in range(self._count)
        ]
        return True

    def addresses(self) -> list[int]:
        """See `KeyValueMemory`."""
        return [int(tensor.data_ptr()) for tensor in self._tensors]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `KeyValueMemory`. It is one small run for each head of each tensor."""
        self._mover = self._mover or _Mover(self.kind, self._providers)
        _, heads, length, size = self.shape
        position = size * np.dtype(self.dtype).itemsize
        for address in self.addresses():
            for head in range(heads):
                old, new = (address + ((slot * heads + head) * length + start) * position for slot in (source, target))
                self._mover.move(old, new, (end - start) * position)


class _Mover:
    """Moves bytes from address to address on a device: a graph of one ``Identity`` whose ends are bound there. What
    onnxruntime offers in Python for copying takes whole tensors only.
    """

    def __init__(self, kind: str, providers: Sequence[str]) -> None:
        self._kind = kind
        self._session = ort.InferenceSession(_identity_graph(), providers=list(providers))
        self._binding = self._session.io_binding()

    def move(self, source: int, target: int, count: int) -> None:
        """Copy ``count`` bytes from the address ``source`` to ``target``."""
        self._binding.bind_input("source", self._kind, 0, np.uint8, (count,), source)
        self._binding.bind_output("target", self._kind, 0, np.uint8, (count,), target)
        self._session.run_with_iobinding(self._binding)


def _identity_graph() -> bytes:
    """``target = Identity(source)`` on bytes, ``[n]``, as ONNX's protocol buffers (onnx.proto3, the numbers are those
    of its fields): so it needs neither a file nor the package ``onnx``.
    """

    def part(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def value(name: bytes) -> bytes:
        shape = part(1, part(2, b"n"))
        of_bytes = b"\x08\x02" + part(2, shape)
        return part(1, name) + part(2, part(1, of_bytes))

    node = part(1, b"source") + part(2, b"target") + part(4, b"Identity")
    graph = part(1, node) + part(2, b"move") + part(11, value(b"source")) + part(12, value(b"target"))
    ir_version, opset = b"\x08\x08", part(8, b"\x10\x0d")
    return ir_version + part(7, graph) + opset
