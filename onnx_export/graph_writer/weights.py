"""Weights as the writer needs them: by GGUF's names, and matrices by ranges of rows, so that little is in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

WHOLE_ROW = 0
CHUNK_WEIGHTS = 1 << 22
"""Number of weights that are unpacked at once."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a type is stored: bits of the whole numbers, number of weights that share a scale (`WHOLE_ROW`: all of a
    row), and whether there are offsets, or zero points (whole numbers, one for each block) in place of the middle of
    the range.
    """

    bits: int
    block: int
    offsets: bool
    zeros: bool = False

    def scales(self, columns: int) -> int:
        """Scales of a row of ``columns`` weights."""
        return columns // self.block if self.block else 1


@dataclass(frozen=True, slots=True)
class Blocks:
    """Weights ``[N, K]``: ``values`` ``[N, K] uint8`` around the middle of their range or around ``zeros``
    ``[N, K / block] uint8``; ``scales`` and ``offsets`` ``[N, K / block] float32``.
    """

    values: Bytes
    scales: Floats
    offsets: Floats | None = None
    zeros: Bytes | None = None

    def floats(self, form: Form) -> Floats:
        """The weights, ``[N, K] float32``."""
        middle = np.float32(1 << (form.bits - 1))
        split = self.values.reshape(*self.scales.shape, -1).astype(np.float32)
        split -= middle if self.zeros is None else self.zeros[..., None].astype(np.float32)
        split *= self.scales[..., None]
        if self.offsets is not None:
            split += self.offsets[..., None]
        return split.reshape(len(self.values), -1)

    def taken(self, rows: NDArray[np.int64]) -> "Blocks":
        """Some of the rows."""
        offsets = None if self.offsets is None else self.offsets[rows]
        zeros = None if self.zeros is None else self.zeros[rows]
        return Blocks(self.values[rows], self.scales[rows], offsets, zeros)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix ``[rows, columns]``, in ``form``, or in floats if that is None. ``read(start, stop)`` reads rows."""

    rows: int
    columns: int
    form: Form | None
    read: Callable[[int, int], Blocks | Floats]

    def floats(self, start: int, stop: int) -> Floats:
        """Some rows as floats, whatever the form is."""
        part = self.read(start, stop)
        if isinstance(part, Blocks):
            assert self.form is not None
            return part.floats(self.form)
        return part

    def chunks(self) -> list[tuple[int, int]]:
        """Ranges of rows of about `CHUNK_WEIGHTS` weights each."""
        step = max(1, CHUNK_WEIGHTS // self.columns)
        return [(start, min(start + step, self.rows)) for start in range(0, self.rows, step)]

    def slice(self, start: int, stop: int) -> "Matrix":
        """Some of the rows as a matrix."""
        return Matrix(stop - start, self.columns, self.form, lambda a, b: self.read(start + a, start + b))


class Weights(Protocol):
    """A model's tensors."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None if there is no such tensor."""

    def matrix(self, name: str) -> Matrix:
        """A tensor of two axes. Errors: ExportError if it cannot be read."""

    def vector(self, name: str) -> Floats:
        """A tensor of one axis. Errors: ExportError if it cannot be read."""


def joined(parts: list[Matrix]) -> Matrix:
    """Matrices of one form and width, stacked."""
    ends = np.cumsum([part.rows for part in parts]).tolist()
    starts = [0, *ends[:-1]]

    def read(start: int, stop: int) -> Blocks | Floats:
        found = [
            part.read(max(start - first, 0), min(stop, last) - first)
            for part, first, last in zip(parts, starts, ends, strict=True)
            if first < stop and start < last
        ]
        return _stacked(found)

    return Matrix(ends[-1], parts[0].columns, parts[0].form, read)


def reordered(matrix: Matrix, order: NDArray[np.int64]) -> Matrix:
    """The same rows in another order. All of them are read for each range."""

    def read(start: int, stop: int) -> Blocks | Floats:
        part, at = matrix.read(0, matrix.rows), order[start:stop]
        return part.taken(at) if isinstance(part, Blocks) else part[at]

    return Matrix(matrix.rows, matrix.columns, matrix.form, read)


def _stacked(found: list[Blocks | Floats]) -> Blocks | Floats:
    if len(found) == 1:
        return found[0]
    blocks = [part for part in found if isinstance(part, Blocks)]
    if not blocks:
        return np.concatenate([part for part in found if isinstance(part, np.ndarray)])
    offsets = [part.offsets for part in blocks if part.offsets is not None]
    zeros = [part.zeros for part in blocks if part.zeros is not None]
    return Blocks(
        np.concatenate([part.values for part in blocks]),
        np.concatenate([part.scales for part in blocks]),
        np.concatenate(offsets) if offsets else None,
        np.concatenate(zeros) if zeros else None,
    )


def packed(values: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Whole numbers ``[N, K]`` of 4 or 8 bits as `MatMulNBits` stores them, ``[N, K * bits / 8]``: the first of two
    in the low half. An odd row ends with half a byte of nothing.
    """
    if bits == 8:
        return values
    if values.shape[1] % 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    found: NDArray[np.uint8] = values[:, ::2] | (values[:, 1::2] << np.uint8(4))
    return found
