"""The data file beside a graph. Tensors are written piece by piece, each at a place of its own.

A tensor that two operators see in two shapes is stored once and named twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.errors import ExportError

_PAGE = 4096
"""Alignment of tensors, so that they can be mapped; small ones are closer together."""
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor in the data file."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class DataFile:
    """Use as a context manager; it closes the file."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._stream = path.open("wb")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def reserve(self, dtype: Any, shape: Sequence[int]) -> Place:
        """Reserve room for a tensor."""
        place = Place(0, np.dtype(dtype), tuple(shape))
        step = _PAGE if place.bytes >= _PAGE else _SMALL
        place = Place(-(-self._end // step) * step, place.dtype, place.shape)
        self._end = place.offset + place.bytes
        return place

    def write(self, place: Place, values: NDArray[Any], first: int = 0) -> None:
        """Write rows of a tensor from row ``first`` on.

        Errors: OSError if the disk is full, ExportError for a weight that is no number.
        """
        width = place.bytes // max(place.shape[0], 1) if place.shape else place.bytes
        data = np.ascontiguousarray(values, place.dtype)
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise ExportError(
                "a weight of the model is infinite or no number, so nothing could be completed; fetch it again"
            )
        assert first * width + data.nbytes <= place.bytes
        self._stream.seek(place.offset + first * width)
        self._stream.write(data.data.cast("B") if data.nbytes else b"")

    def tensor(self, name: str, place: Place, shape: Sequence[int] | None = None) -> Any:
        """The `onnx.TensorProto` of a place, in its shape or in another one."""
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(place.dtype))
        tensor.dims.extend(place.shape if shape is None else shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._name), ("offset", place.offset), ("length", place.bytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor
