"""Weights rounded to blocks of 4 or 8 bits, with a search for the scale of each block, or to bytes with one scale for
a row; or unpacked to floats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from onnx_export.graph_writer.weights import WHOLE_ROW, Blocks, Bytes, Floats, Form, Matrix, Weights

BLOCK = 32
Rounding = Literal["keep", "fp32", "int8", "int4", "w8a8"]
EIGHT_BITS = Form(8, BLOCK, offsets=False)
FOUR_BITS = Form(4, BLOCK, offsets=False, zeros=True)
BYTES = Form(8, WHOLE_ROW, offsets=False)
"""The inputs of such a product are bytes too, with one scale for each token."""
OUTER = frozenset({"token_embd.weight", "output.weight"})
"""Matrices that stay in blocks of 8 bits: in ``int4``, because 4 bits would do the most harm there, and in ``w8a8``,
because the embedding is looked up by rows and the head is computed for few of them.
"""
_ATTENTION = ".attn_"
"""In the names of matrices that stay in blocks of 8 bits in ``int4``: they are a small part of a model's weights, and 4
bits do more than half of their harm there (docs/measurements/gguf.md).
"""
_SHARES = (0.7, 0.75, 0.8, 0.84, 0.88, 0.92, 0.96, 1.0, 1.04)
_SHIFTS = (-1, 0, 1)
"""What is tried for a block of 4 bits: scales, as shares of the one that holds all its weights, and zero points, around
the one that puts these in the middle.
"""
_SEARCHED = 1 << 17
"""Weights that are searched at once: they stay in the cache of the processor."""


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
    ``coarse``), and for ``int4`` if it has 4 bits already; floats if blocks do not fit, and for norms.
    """
    if rounding == "keep" and not coarse:
        return own
    rounding = "int4" if rounding == "keep" else rounding
    if rounding == "fp32" or columns % BLOCK or name.endswith("_norm.weight"):
        return None
    if rounding == "int4" and own is not None and own.bits == FOUR_BITS.bits:
        return own
    inner = {"int4": FOUR_BITS, "int8": EIGHT_BITS, "w8a8": BYTES}[rounding]
    is_sensitive = rounding == "int4" and _ATTENTION in name
    return EIGHT_BITS if name in OUTER or is_sensitive else inner


def rounded(matrix: Matrix, form: Form | None) -> Matrix:
    """Convert a matrix to another form."""
    if form == matrix.form:
        return matrix

    def read(start: int, stop: int) -> Blocks | Floats:
        values = matrix.floats(start, stop)
        return values if form is None else blocks_of(values, form)

    return Matrix(matrix.rows, matrix.columns, form, read)


def blocks_of(values: Floats, form: Form) -> Blocks:
    """Floats ``[N, K]`` as blocks of 8 bits around the middle of their range, or of 4 bits with zero points."""
    if not form.zeros:
        split = values.reshape(len(values), form.scales(values.shape[1]), -1)
        reach = (1 << (form.bits - 1)) - 1
        scales = np.abs(split).max(axis=-1) / np.float32(reach)
        whole = _whole(split, scales, -reach - 1, reach) + (reach + 1)
        return Blocks(whole.astype(np.uint8).reshape(len(split), -1), scales)
    step = max(1, _SEARCHED // values.shape[1])
    parts = [_searched(values[at : at + step], form) for at in range(0, len(values), step)]
    values_of, scales, zeros = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Blocks(values_of, scales, zeros=zeros)


def _searched(values: Floats, form: Form) -> tuple[Bytes, Floats, Bytes]:
    split = values.reshape(len(values), -1, form.block)
    most = (1 << form.bits) - 1
    low, high = np.minimum(split.min(axis=-1), 0), np.maximum(split.max(axis=-1), 0)
    best = np.full(low.shape, np.inf, np.float32)
    scales, zeros = np.zeros_like(low), np.zeros_like(low)
    for share in _SHARES:
        tried = (high - low) * np.float32(share / most)
        inverse = np.divide(1.0, tried, out=np.zeros_like(tried), where=tried > 0)
        nearest = np.rint(split * inverse[..., None])
        middle = np.rint(0.5 * (most - (low + high) * inverse))
        for shift in _SHIFTS:
            zero = np.clip(middle + shift, 0, most)
            whole = np.clip(nearest, -zero[..., None], most - zero[..., None])
            squares = np.einsum("nbk,nbk->nb", whole, whole)
            products = np.einsum("nbk,nbk->nb", whole, split)
            fitted = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
            left = -fitted * products
            better = left < best
            best = np.where(better, left, best)
            scales, zeros = np.where(better, fitted, scales), np.where(better, zero, zeros)
    whole = _whole(split, scales, -zeros[..., None], most - zeros[..., None]) + zeros[..., None]
    return whole.astype(np.uint8).reshape(len(split), -1), scales, zeros.astype(np.uint8)


def _whole(split: Floats, scales: Floats, low: Any, high: Any) -> Floats:
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    found: Floats = np.clip(np.rint(split * inverse[..., None]), low, high)
    return found
