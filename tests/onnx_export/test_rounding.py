"""Blocks of 4 bits with zero points: the search against a plain one, the product against floats. The order of values
that rotary positions need.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto

from engine.runtime.ort import ort
from onnx_export.graph_writer.data_file import DataFile
from onnx_export.graph_writer.decoder import rotary_order
from onnx_export.graph_writer.graph import Graph
from onnx_export.graph_writer.rounding import BYTES, EIGHT_BITS, FOUR_BITS, blocks_of, form_of, rounded
from onnx_export.graph_writer.weights import Form, Matrix, reordered

Floats = NDArray[np.float32]


def drawn(shift: float, rows: int = 16, seed: int = 0) -> Floats:
    """Normal weights around ``shift``, in three blocks a row."""
    return np.random.default_rng(seed).normal(shift, 1.0, (rows, 96)).astype(np.float32)


def least_error(block: Floats) -> float:
    """The squared error of the best of many scales and all zero points."""
    width = float(block.max() - block.min()) or 1.0
    best = np.inf
    for zero in range(16):
        for scale in np.linspace(0.5, 1.3, 81) * width / 15:
            whole = np.clip(np.rint(block / scale) + zero, 0, 15) - zero
            best = min(best, float(np.square(whole * scale - block).sum()))
    return best


@pytest.mark.parametrize("shift", [0.0, 0.7, -2.0])
def test_the_search_comes_near_the_best_that_there_is(shift: float) -> None:
    values = drawn(shift, rows=4)
    made = blocks_of(values, FOUR_BITS).floats(FOUR_BITS)
    found = np.square(made - values).reshape(-1, 32).sum(axis=1)
    best = np.array([least_error(block) for block in values.reshape(-1, 32)])
    assert found.sum() < 1.1 * best.sum()


@given(seed=st.integers(0, 1000), scale=st.floats(1e-4, 10.0))
def test_weights_that_have_16_values_are_kept(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    zeros = rng.integers(0, 16, (4, 3))
    whole = rng.integers(0, 16, (4, 3, 32))
    whole[..., 0], whole[..., 1] = 0, 15
    values = ((whole - zeros[..., None]) * scale).astype(np.float32).reshape(4, 96)
    made = blocks_of(values, FOUR_BITS)
    np.testing.assert_allclose(made.floats(FOUR_BITS), values, rtol=1e-5, atol=1e-6 * scale)


def test_blocks_of_nothing_stay_nothing() -> None:
    values = np.zeros((2, 64), np.float32)
    for form in (FOUR_BITS, EIGHT_BITS):
        assert not blocks_of(values, form).floats(form).any()


def product(folder: Path, matrix: Matrix, inputs: Floats) -> Floats:
    """``inputs`` ``[1, S, K]`` times a matrix, by a graph of our writer."""
    with DataFile(folder / "m.data") as data:
        graph = Graph(data, lambda weights: None)
        hidden = graph.input("x", TensorProto.FLOAT, ["batch", "sequence", matrix.columns])
        made = graph.product(hidden, graph.stored("w", matrix), np.ones(matrix.rows, np.float32))
        graph.node("Identity", [made], "y")
        graph.output("y", ["batch", "sequence", matrix.rows])
    graph.save(folder / "m.onnx")
    found: Floats = ort.InferenceSession(str(folder / "m.onnx"), providers=["CPUExecutionProvider"]).run(
        None, {"x": inputs}
    )[0]
    return found


@pytest.mark.parametrize("columns", [64, 96])
def test_a_product_of_blocks_with_zero_points(tmp_path: Path, columns: int) -> None:
    """96 columns have three blocks, so that the last zero point of a row is alone in its byte."""
    values = drawn(0.7)[:, :columns]
    matrix = rounded(Matrix(16, columns, None, lambda start, stop: values[start:stop]), FOUR_BITS)
    inputs = np.random.default_rng(1).normal(size=(1, 5, columns)).astype(np.float32)
    expected = inputs @ matrix.floats(0, 16).T + 1
    # The kernel rounds the inputs to 8 bits.
    assert np.abs(product(tmp_path, matrix, inputs) - expected).max() < 0.02 * np.abs(expected).max()


OWN = Form(4, 32, offsets=True)


@pytest.mark.parametrize(
    ("rounding", "name", "own", "form"),
    [
        ("int4", "blk.0.ffn_up.weight", None, FOUR_BITS),
        ("int4", "blk.0.ffn_up.weight", OWN, OWN),
        ("int4", "blk.0.ffn_up.weight", Form(8, 32, offsets=False), FOUR_BITS),
        ("int4", "output.weight", None, EIGHT_BITS),
        ("int4", "blk.0.attn_q_norm.weight", None, None),
        ("int4", "blk.10.attn_v.weight", Form(8, 32, offsets=False), EIGHT_BITS),
        ("int4", "blk.1.attn_output.weight", None, EIGHT_BITS),
        ("int4", "blk.1.attn_qkv.weight", OWN, OWN),
        ("w8a8", "blk.1.attn_k.weight", None, BYTES),
        ("int8", "blk.0.ffn_up.weight", OWN, EIGHT_BITS),
        ("keep", "blk.0.ffn_up.weight", OWN, OWN),
        ("fp32", "blk.0.ffn_up.weight", OWN, None),
    ],
)
def test_which_form_a_matrix_gets(rounding: Any, name: str, own: Form | None, form: Form | None) -> None:
    assert form_of(rounding, name, 96, own) == form


@pytest.mark.parametrize(("size", "rotated"), [(16, 4), (80, 20), (160, 40), (64, 20)])
def test_the_order_for_rotary_positions(size: int, rotated: int) -> None:
    order = rotary_order(size, rotated)
    assert order is not None
    half = rotated // 2
    wide = -(-half // 8) * 8
    assert sorted(order.tolist()) == list(range(size))
    assert order[:half].tolist() == list(range(half))
    assert order[wide : wide + half].tolist() == list(range(half, rotated))


def test_heads_that_need_no_order_and_heads_that_are_too_small() -> None:
    assert rotary_order(64, 64) is None
    assert rotary_order(64, 16) is None
    with pytest.raises(ValueError, match="20 of 24 values are rotated: no kernel takes that"):
        rotary_order(24, 20)


@pytest.mark.parametrize("form", [None, FOUR_BITS])
def test_rows_in_another_order(form: Form | None) -> None:
    values, order = drawn(0.0), np.random.default_rng(2).permutation(16)
    matrix = rounded(Matrix(16, 96, None, lambda start, stop: values[start:stop]), form)
    np.testing.assert_array_equal(reordered(matrix, order).floats(3, 9), matrix.floats(0, 16)[order[3:9]])
