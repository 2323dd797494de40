"""Weights rounded to blocks of 4 or 8 bits, with a search for the scale of each block, or to bytes with one scale for
a row; or unpacked to floats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnx_export.graph_writer.weights import WHOLE_ROW, Blocks, Bytes, Floats, Form, Matrix, Weights

BLOCK = 32
Rounding = Literal["keep", "fp32", "int8", "int4", "w8a8"]
EIGHT_BITS = Form(8, BLOCK, offsets=False)
FOUR_BITS = Form(4, BLOCK, offsets=False)
BYTES = Form(8, WHOLE_ROW, offsets=False)
"""The inputs of such a product are bytes too, with one scale for each token."""
OUTER = frozenset({"token_embd.weight", "output.weight"})
"""Matrices that stay in blocks of 8 bits: in ``int4``, because 4 bits would do the most harm there, and in ``w8a8``,
because the embedding is looked up by rows and the head is computed for few of them.
"""
_STEPS = 9
"""Number of scales that are tried for a block of 4 bits, on each side of the scale of its largest weight."""


def _none(name: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rounded:
    """The weights of another source, each matrix in the form that a rounding gives it. ``is_coarse`` are those that
    cannot be kept.
    """

    weights: Weights
    rounding: Rounding
    is_coarse: Callable[[str], bool] = _none

    def shape(self, name: str) -> tuple[int, ...] | None:
        """See `Weights.shape`."""
        return self.weights.shape(name)

    def vector(self, name: str) -> Floats:
        """See `Weights.vector`."""
        return self.weights.vector(name)

    def matrix(self, name: str) -> Matrix:
        """See `Weights.matrix`."""
        matrix = self.weights.matrix(name)
        form = form_of(self.rounding, name, matrix.columns, matrix.form, coarse=self.is_coarse(name))
        return rounded(matrix, form)


def form_of(rounding: Rounding, name: str, columns: int, own: Form | None, *, coarse: bool = False) -> Form | None:
    """The form of a matrix with rows of ``columns`` weights: its own for ``keep`` (that of ``int4`` if it is
    ``coarse``); floats if blocks do not fit.
    """
    if rounding == "keep" and not coarse:
        return own
    rounding = "int4" if rounding == "keep" else rounding
    if rounding == "fp32" or columns % BLOCK:
        return None
    inner = {"int4": FOUR_BITS, "int8": EIGHT_BITS, "w8a8": BYTES}[rounding]
    return EIGHT_BITS if name in OUTER else inner


def rounded(matrix: Matrix, form: Form | None) -> Matrix:
    """Convert a matrix to another form."""
    if form == matrix.form:
        return matrix

    def read(start: int, stop: int) -> Blocks | Floats:
        values = matrix.floats(start, stop)
        return values if form is None else blocks_of(values, form)

    return Matrix(matrix.rows, matrix.columns, form, read)


def blocks_of(values: Floats, form: Form) -> Blocks:
    """Round floats ``[N, K]`` to blocks without offsets."""
    split = values.reshape(len(values), form.scales(values.shape[1]), -1)
    reach = 1 << (form.bits - 1)
    if form.bits == 8:
        scales = np.abs(split).max(axis=-1) / (reach - 1)
        return Blocks(_nearest(split, scales, reach), scales)
    # One side of the range has one more number, so the largest weight is put on that side.
    at = np.abs(split).argmax(axis=-1)
    largest = np.take_along_axis(split, at[..., None], axis=-1)[..., 0]
    best, chosen = np.full(largest.shape, np.inf, np.float32), np.zeros_like(largest)
    for step in range(-_STEPS, _STEPS + 1):
        scales = largest / (-reach + 0.1 * step)
        whole = _whole(split, scales, reach)
        # The scale that fits these whole numbers best, and the remaining error.
        squares = np.einsum("nbk,nbk->nb", whole, whole)
        products = np.einsum("nbk,nbk->nb", whole, split)
        fitted = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
        left = -fitted * products
        better = left < best
        best, chosen = np.where(better, left, best), np.where(better, fitted, chosen)
    return Blocks(_nearest(split, chosen, reach), chosen)


def _whole(split: Floats, scales: Floats, reach: int) -> Floats:
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    found: Floats = np.clip(np.rint(split * inverse[..., None]), -reach, reach - 1)
    return found


def _nearest(split: Floats, scales: Floats, reach: int) -> Bytes:
    return (_whole(split, scales, reach) + reach).astype(np.uint8).reshape(len(split), -1)
