"""Columns of inputs that products of bytes take as floats: which they are, and what comes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, load

from engine.errors import Cancelled
from engine.model_folder.manifest import load_manifest
from engine.runtime.graph import open_graph
from engine.runtime.session import OrtSession
from onnx_export import convert as converting
from onnx_export.convert import convert
from onnx_export.graph_writer import graph as module
from onnx_export.graph_writer.data_file import DataFile
from onnx_export.graph_writer.graph import Graph
from onnx_export.graph_writer.rounding import BYTES, blocks_of
from onnx_export.graph_writer.weights import Matrix
from onnx_export.outliers import LEAST_GAIN, MOST_COLUMNS, Largest, chosen, outlying_columns
from tests.onnx_export.gguf.files import write_model

INPUTS, OUTPUTS = 200, 24
APART = np.array([3, 50], np.int64)


def slowly(values: Any) -> list[int]:
    """The same choice from all columns."""
    squares = np.square(values, dtype=np.float64)
    apart: list[int] = []
    while len(apart) < min(MOST_COLUMNS, values.shape[1] - 2):
        largest = squares.max(axis=1)
        falls = np.zeros(values.shape[1])
        for token, row in enumerate(squares):
            falls[row.argmax()] += largest[token] - np.sort(row)[-2]
        best = int(falls.argmax())
        if falls[best] <= LEAST_GAIN * largest.sum():
            break
        apart.append(best)
        squares[:, best] = 0.0
    return sorted(apart)


@settings(max_examples=50)
@given(arrays(np.float32, (9, 24), elements=st.sampled_from([0.0, 0.5, -1.0, 2.0, 7.0, -30.0]), unique=False))
def test_the_choice_is_that_among_all_columns(values):
    values = values + np.linspace(0.0, 0.01, values.size, dtype=np.float32).reshape(values.shape)  # no two alike
    assert chosen([Largest(values[:4]), Largest(values[4:])]).tolist() == slowly(values)


def test_columns_that_are_large_are_found_and_even_ones_are_not() -> None:
    values = np.random.default_rng(0).standard_normal((300, INPUTS), np.float32)
    assert chosen([Largest(values)]).size == 0
    values[:, 7] *= 40.0
    values[:, 120] *= 15.0
    assert chosen([Largest(values)]).tolist() == [7, 120]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_counts_as_nothing(bad: float) -> None:
    values = np.random.default_rng(0).standard_normal((30, INPUTS), np.float32)
    values[:, 7] *= 40.0
    values[3, 9] = bad
    assert chosen([Largest(values)]).tolist() == [7]


@pytest.mark.parametrize("unsigned", [True, False])
def test_a_product_takes_them_as_floats_and_the_rest_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsigned: bool
) -> None:
    monkeypatch.setattr(module, "sums_overflow", lambda: unsigned)
    rng = np.random.default_rng(1)
    weights, values = rng.standard_normal((OUTPUTS, INPUTS), np.float32), rng.standard_normal((1, 9, INPUTS))
    values = values.astype(np.float32)
    values[:, :, APART] *= 300.0
    bias = rng.standard_normal(OUTPUTS, np.float32)
    stored = blocks_of(weights, BYTES).floats(BYTES)
    errors = []
    for apart in ({"x": APART}, {}):
        folder = tmp_path / str(len(apart))
        folder.mkdir()
        (made,) = _product(folder, weights, bias, apart).run(None, {"x": values})
        errors.append(np.abs(made - (values @ stored.T + bias)).mean())
    rest = values.copy()
    rest[:, :, APART] = 0.0
    steps = np.abs(rest).max() / 127
    assert errors[0] < steps * np.sqrt(INPUTS)
    assert errors[1] > 50 * errors[0]


def _product(folder: Path, weights: Any, bias: Any, apart: Any) -> Any:
    matrix = Matrix(OUTPUTS, INPUTS, BYTES, lambda start, stop: blocks_of(weights[start:stop], BYTES))
    with DataFile(folder / "model.onnx.data") as data:
        graph = Graph(data, lambda count: None, apart)
        graph.input("x", TensorProto.FLOAT, ["batch", "sequence", INPUTS])
        graph.node("Identity", [graph.product("x", graph.stored("w", matrix), bias)], "y")
        graph.output("y", ["batch", "sequence", OUTPUTS])
    graph.save(folder / "model.onnx")
    return open_graph(folder / "model.onnx", "cpu").session


def test_a_converted_folder_has_them_in_its_graph_of_bytes_only(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", types=("Q5_0",))
    convert(tmp_path / "m.gguf", tmp_path / "two", reading=True)
    names = {graph: _names(tmp_path / "two" / graph) for graph in ("model.onnx", "reading.onnx")}
    assert any(name.endswith("/apart") for name in names["reading.onnx"])
    assert not any(name.endswith("/apart") for name in names["model.onnx"])
    assert sorted(path.name for path in (tmp_path / "two").iterdir() if path.name == "trial") == []
    manifest = convert(tmp_path / "m.gguf", tmp_path / "one", precision="w8a8")
    ids = np.arange(20, 40, dtype=np.int32)
    found = OrtSession.load(tmp_path / "one", manifest, device="cpu").forward(ids, 0, range(20))
    exact = OrtSession.load(tmp_path / "two", load_manifest(tmp_path / "two"), device="cpu").forward(ids, 0, range(20))
    assert np.abs(found - exact).max() < 0.2 * np.abs(exact).max()


def _names(graph: Path) -> list[str]:
    return [tensor.name for tensor in load(str(graph), load_external_data=False).graph.initializer]


def test_it_can_be_cancelled_while_text_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "m.gguf", types=("Q5_0",))
    stopped: list[bool] = []

    def reading(*given: Any) -> Any:
        stopped.append(True)
        return outlying_columns(*given)

    monkeypatch.setattr(converting, "outlying_columns", reading)
    with pytest.raises(Cancelled):
        convert(tmp_path / "m.gguf", tmp_path / "out", precision="w8a8", cancelled=lambda: bool(stopped))
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
