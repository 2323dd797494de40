"""How many weights a graph has, from the shapes that it states; no weight is read."""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from engine.model_folder.files import file_size
from engine.model_folder.protobuf import BYTES, VARINT, Data, MalformedError, fields, varint

MOST_BYTES = 2 << 30
MOST_FIELDS = 500_000
"""Of all messages that are walked; a decoder has some ten thousand."""
# Types of ONNX that weights have: float, uint8, int8, float16, double, bfloat16, uint4, int4.
_WEIGHTS = frozenset({1, 2, 3, 10, 11, 16, 21, 22})
_UINT8 = 2
# Inputs that are no weights, by operator: scales and zero points, cosine and sine.
_NO_WEIGHTS: Mapping[bytes, tuple[int, ...]] = {
    b"MatMulNBits": (2, 3, 4),
    b"GatherBlockQuantized": (2, 3),
    b"DequantizeLinear": (1, 2),
    b"QuantizeLinear": (1, 2),
    b"MatMulInteger": (2, 3),
    b"MatMulIntegerToFloat": (2, 3, 4, 5),
    b"GroupQueryAttention": (7, 8),
    b"RotaryEmbedding": (2, 3),
}
_NO_WEIGHTS_BY_NAME = (b"/offsets", b"/apart", b"/kept")
"""How our own writer ends the names of tables of minima, which are a part of quantised weights, of weights that are
stored a second time as floats, and of what hides the inputs of these.
"""


class _TooLongError(Exception):
    """There are more than `MOST_FIELDS`."""


@dataclass(slots=True)
class _Tensor:
    """``place`` is where its content lies: two tensors of one place are one."""

    count: int = 1
    dtype: int = 0
    place: object = None


@dataclass(slots=True)
class _Node:
    operator: bytes = b""
    inputs: list[bytes] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)


def count_parameters(folder: Path, name: str) -> int:
    """The weights of the graph ``name`` of ``folder``, each once; 0 where they cannot be counted.

    Raises `ModelFolderError` where the file lies outside the folder, is too large, or none.
    """
    try:
        if not file_size(folder, name, MOST_BYTES):
            return 0
        with (folder / name).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Counter(data).count()
    except (OSError, ValueError, MalformedError, _TooLongError):
        return 0


class _Counter:
    def __init__(self, data: Data) -> None:
        self._data, self._fields = data, 0
        self._tensors: dict[bytes, _Tensor] = {}
        self._nodes: list[_Node] = []

    def count(self) -> int:
        for number, wire, begin, end in self._parts(0, len(self._data)):
            if (number, wire) == (7, BYTES):
                self._graph(begin, end)
        counts: dict[object, int] = {}
        left_out: set[bytes] = set()
        for node in self._nodes:
            if node.operator in (b"MatMulNBits", b"GatherBlockQuantized"):
                self._quantised(node)
            for place in _NO_WEIGHTS.get(node.operator, ()):
                left_out.update(node.inputs[place : place + 1])
        for name, tensor in self._tensors.items():
            if name not in left_out and not name.endswith(_NO_WEIGHTS_BY_NAME) and tensor.dtype in _WEIGHTS:
                counts[tensor.place] = max(counts.get(tensor.place, 0), tensor.count)
        return sum(counts.values())

    def _quantised(self, node: _Node) -> None:
        """Packed weights: of a product its sizes are stated, of a table how many bits each has."""
        at = 1 if node.operator == b"MatMulNBits" else 0
        tensor = self._tensors.get(node.inputs[at]) if len(node.inputs) > at else None
        if tensor is None:
            return
        if at:
            tensor.count = node.numbers.get(b"K", 0) * node.numbers.get(b"N", 0)
        elif tensor.dtype == _UINT8:
            tensor.count = tensor.count * 8 // max(node.numbers.get(b"bits", 4), 1)

    def _graph(self, start: int, end: int) -> None:
        for number, wire, begin, stop in self._parts(start, end):
            if (number, wire) == (1, BYTES):
                self._nodes.append(self._node(begin, stop))
            elif (number, wire) == (5, BYTES):
                self._tensor(begin, stop)

    def _node(self, start: int, end: int) -> _Node:
        node = _Node()
        for number, wire, begin, stop in self._parts(start, end):
            if wire != BYTES:
                continue
            if number == 1:
                node.inputs.append(self._data[begin:stop])
            elif number == 4:
                node.operator = self._data[begin:stop]
            elif number == 5:
                self._attribute(node, begin, stop)
        return node

    def _attribute(self, node: _Node, start: int, end: int) -> None:
        name, value = b"", None
        for number, wire, begin, stop in self._parts(start, end):
            if (number, wire) == (1, BYTES):
                name = self._data[begin:stop]
            elif (number, wire) == (3, VARINT):
                value = self._number(begin, stop)
        if value is not None:
            node.numbers[name] = value

    def _tensor(self, start: int, end: int) -> None:
        tensor, name, sizes, entries = _Tensor(place=start), b"", [], []
        for number, wire, begin, stop in self._parts(start, end):
            if (number, wire) == (1, VARINT):
                sizes.append(self._number(begin, stop))
            elif (number, wire) == (1, BYTES):
                sizes += self._packed(begin, stop)
            elif (number, wire) == (2, VARINT):
                tensor.dtype = self._number(begin, stop)
            elif (number, wire) == (8, BYTES):
                name = self._data[begin:stop]
            elif (number, wire) == (13, BYTES):
                entries.append(self._entry(begin, stop))
        tensor.count = prod(sizes) if sizes else 0  # a single number is no weight
        if entries:
            external = dict(entries)
            tensor.place = (external.get(b"location"), external.get(b"offset"))
        self._tensors[name] = tensor

    def _entry(self, start: int, end: int) -> tuple[bytes, bytes]:
        found = {number: self._data[begin:stop] for number, wire, begin, stop in self._parts(start, end)}
        return found.get(1, b""), found.get(2, b"")

    def _packed(self, start: int, end: int) -> Iterator[int]:
        while start < end:
            value, start = varint(self._data, start, end)
            yield value

    def _number(self, start: int, end: int) -> int:
        return varint(self._data, start, end)[0]

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        for part in fields(self._data, start, end):
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _TooLongError
            yield part
