"""The header of a GGUF file, read with bounds: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

We have a reader of our own for three reasons. The reader of the `gguf` package makes an array of every string, which
takes 12 s for a vocabulary of 151,936 entries (this one: 0.2 s). It allocates by the counts that the file states, so a
file of 100 bytes can ask for all memory. And it maps the file, so that a file which shrinks while it is read ends the
process.

Every count is compared with the remaining bytes before anything is allocated. Arrays of strings are skipped, and read
when they are asked for.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from onnx_export.gguf.block_types import BLOCK_TYPES, BlockType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_FIELDS = 1 << 14
MOST_TENSORS = 1 << 16
MOST_STRINGS = 1 << 21
"""Limit for the strings of all arrays together, above the largest vocabularies with their merges."""
MOST_KEY_BYTES = (1 << 16) - 1
MOST_NAME_BYTES = 256
MOST_TEXT_BYTES = 1 << 24
MOST_ENTRY_BYTES = 1 << 16
MOST_AXES = 4
MOST_ALIGNMENT = 1 << 16

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS: Mapping[int, str] = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "<u1", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """An array in the file: ``count`` elements from byte ``start`` to ``end``; ``dtype`` is None for strings."""

    start: int
    end: int
    count: int
    dtype: str | None


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor in the file. ``shape`` is in the order of numpy: rows first, the axis of the blocks last."""

    name: str
    shape: tuple[int, ...]
    type: BlockType
    start: int

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.size // self.type.weights * self.type.bytes


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A header: scalars and strings by name, arrays and tensors by their place; ``size`` is the file's in bytes."""

    path: Path
    size: int
    fields: Mapping[str, Any]
    arrays: Mapping[str, ArrayPlace]
    tensors: Mapping[str, TensorPlace]

    def strings(self, name: str) -> list[str]:
        """An array of strings; bytes that are not UTF-8 become U+FFFD. Errors: ExportError."""
        return [text.decode("utf-8", "replace") for text in self.byte_strings(name)]

    def byte_strings(self, name: str) -> list[bytes]:
        """An array of strings as bytes; empty if there is none. Errors: ExportError if the file has changed."""
        place = self.arrays.get(name)
        if place is None:
            return []
        if place.dtype is not None:
            raise ExportError(f"{self.path}: {name} is no list of strings; fetch the file again")
        data = self._read(place.start, place.end - place.start)
        found, position = [], 0
        for _ in range(place.count):
            length = int.from_bytes(data[position : position + 8], "little")
            position += 8
            found.append(data[position : position + length])
            position += length
        if position != len(data):
            raise changed(self.path)
        return found

    def numbers(self, name: str) -> NDArray[Any]:
        """An array of numbers; empty if there is none. Errors: ExportError as `byte_strings`."""
        place = self.arrays.get(name)
        if place is None:
            return np.zeros(0, np.int64)
        if place.dtype is None:
            raise ExportError(f"{self.path}: {name} is a list of strings, not of numbers; fetch the file again")
        return np.frombuffer(self._read(place.start, place.end - place.start), place.dtype)

    def blocks(self, tensor: TensorPlace) -> NDArray[np.uint8]:
        """The blocks of a tensor as bytes, ``[rows, bytes a row]``. Errors: ExportError if the file has changed."""
        data = np.frombuffer(self._read(tensor.start, tensor.length), np.uint8)
        return data.reshape(int(np.prod(tensor.shape[:-1], dtype=np.int64)), -1)

    def _read(self, start: int, count: int) -> bytes:
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                data = stream.read(count)
        except OSError as error:
            raise ExportError(f"{self.path} cannot be read any more ({error.strerror}); fetch it again") from None
        if len(data) != count:
            raise changed(self.path)
        return data


def changed(path: Path) -> ExportError:
    """The error to raise if a file no longer agrees with its header."""
    return ExportError(f"{path} has changed while it was read; start again when its download is finished")


def is_gguf(path: Path) -> bool:
    """Whether a file begins like a GGUF file; False if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == MAGIC
    except OSError:
        return False


def read_header(path: Path) -> GgufFile:
    """Read and check the header of a file. Errors: ExportError, in one line, for anything that is wrong with it."""
    try:
        with path.open("rb") as stream:
            return _Reader(path, stream, path.stat().st_size).read()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror or error}); give a GGUF file") from None


class _Reader:
    """One pass over a header. ``_left`` is the number of bytes after the position."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self._path, self._stream, self._size = path, stream, size
        self._position = 0
        self._strings = 0

    def read(self) -> GgufFile:
        tensors, count = self._start()
        fields: dict[str, Any] = {}
        arrays: dict[str, ArrayPlace] = {}
        for _ in range(count):
            key = self._text(MOST_KEY_BYTES, "the name of a field")
            if key in fields or key in arrays:
                raise self._bad(f"names the field {key[:80]!r} twice")
            kind = self._number("<I")
            if kind == _ARRAY:
                arrays[key] = self._array(key)
            else:
                fields[key] = self._scalar(kind, key)
        if int(fields.get("split.count", 1) or 1) > 1:
            raise ExportError(
                f"{self._path} is one of {fields['split.count']} parts; join them first (llama-gguf-split --merge)"
            )
        infos = [self._tensor() for _ in range(tensors)]
        return GgufFile(self._path, self._size, fields, arrays, self._places(infos, fields))

    def _start(self) -> tuple[int, int]:
        magic = self._take(4) if self._size >= 4 else b""
        if magic != MAGIC:
            raise ExportError(f"{self._path} is no GGUF file" + (" (it is empty)" if not self._size else ""))
        version = self._number("<I")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            if swapped in VERSIONS:
                raise ExportError(f"{self._path} was written for big-endian machines; fetch the ordinary file")
            raise ExportError(f"{self._path} is GGUF of version {version}; versions 2 and 3 can be read")
        tensors, fields = self._number("<Q"), self._number("<Q")
        if tensors > MOST_TENSORS or fields > MOST_FIELDS:
            raise self._bad(f"claims {tensors} tensors and {fields} fields")
        return tensors, fields

    def _scalar(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._text(MOST_TEXT_BYTES, f"the field {key[:80]}")
        if kind not in _SCALARS:
            raise self._bad(f"has a field {key[:80]!r} of unknown type {kind}")
        dtype = np.dtype(_SCALARS[kind])
        value = np.frombuffer(self._take(dtype.itemsize), dtype)[0].item()
        return bool(value) if kind == _BOOL else value

    def _array(self, key: str) -> ArrayPlace:
        kind, count = self._number("<I"), self._number("<Q")
        if kind == _STRING:
            self._strings += count
            if self._strings > MOST_STRINGS:
                raise self._bad(f"claims {self._strings} strings")
            start = self._position
            for _ in range(count):
                self._take(self._bounded(self._number("<Q"), MOST_ENTRY_BYTES, f"an entry of {key[:80]}"))
            return ArrayPlace(start, self._position, count, None)
        if kind not in _SCALARS:
            raise self._bad(f"has an array {key[:80]!r} of unknown type {kind}")
        start, length = self._position, count * np.dtype(_SCALARS[kind]).itemsize
        self._skip(length)
        return ArrayPlace(start, start + length, count, _SCALARS[kind])

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text(MOST_NAME_BYTES, "the name of a tensor")
        axes = self._number("<I")
        if not 1 <= axes <= MOST_AXES:
            raise self._bad(f"gives the tensor {name!r} {axes} axes")
        shape = tuple(self._number("<Q") for _ in range(axes))
        return name, shape[::-1], self._number("<I"), self._number("<Q")

    def _places(
        self, infos: list[tuple[str, tuple[int, ...], int, int]], fields: Mapping[str, Any]
    ) -> dict[str, TensorPlace]:
        alignment = fields.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= MOST_ALIGNMENT or alignment & (alignment - 1):
            raise self._bad(f"has an alignment of {alignment!r}")
        begin = -(-self._position // alignment) * alignment
        places: dict[str, TensorPlace] = {}
        for name, shape, number, offset in infos:
            if name in places:
                raise self._bad(f"names the tensor {name!r} twice")
            kind = BLOCK_TYPES.get(number)
            if kind is None:
                raise self._bad(f"stores the tensor {name!r} in an unknown type ({number})")
            place = TensorPlace(name, shape, kind, begin + offset)
            if place.size <= 0 or shape[-1] % kind.weights:
                raise self._bad(f"gives the tensor {name!r} a shape of {shape}, which {kind.name} cannot have")
            if place.start + place.length > self._size:
                raise ExportError(f"{self._path} is cut off within the tensor {name!r}; fetch it again")
            places[name] = place
        self._require_apart(places)
        return places

    def _require_apart(self, places: Mapping[str, TensorPlace]) -> None:
        """Refuse tensors that share bytes, because they could make a model far larger than the file."""
        for left, right in _neighbours(sorted(places.values(), key=lambda place: place.start)):
            if left.start + left.length > right.start:
                raise self._bad(f"has the tensors {left.name!r} and {right.name!r} in one place")

    def _text(self, most: int, what: str) -> str:
        data = self._take(self._bounded(self._number("<Q"), most, what))
        return data.decode("utf-8", "replace")

    def _bounded(self, length: int, most: int, what: str) -> int:
        if length > most:
            raise self._bad(f"claims {length} bytes for {what}")
        return length

    def _number(self, code: str) -> int:
        (value,) = struct.unpack(code, self._take(struct.calcsize(code)))
        return int(value)

    def _take(self, count: int) -> bytes:
        if count > self._size - self._position:
            raise ExportError(f"{self._path} is cut off within its header; fetch it again")
        data = self._stream.read(count)
        self._position += count
        if len(data) != count:
            raise changed(self._path)
        return data

    def _skip(self, count: int) -> None:
        if count > self._size - self._position:
            raise ExportError(f"{self._path} is cut off within its header; fetch it again")
        self._position += count
        self._stream.seek(self._position)

    def _bad(self, what: str) -> ExportError:
        return ExportError(f"{self._path} {what}; the file is damaged, fetch it again")


def _neighbours(places: list[TensorPlace]) -> Iterator[tuple[TensorPlace, TensorPlace]]:
    return pairwise(places)
