"""Products of bytes with bytes (``w8a8``): exact in whole numbers, row by row, on every processor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from engine import ExportError
from engine.model_folder.manifest import load_manifest
from engine.model_folder.parameters import count_parameters
from engine.runtime.graph import open_graph
from engine.runtime.session import OrtSession
from lsp_server.cli import main
from onnx_export.convert import convert, converted_bytes
from onnx_export.gguf.header import read_header
from onnx_export.gguf.model import read_model
from onnx_export.graph_writer import graph as module
from onnx_export.graph_writer.data_file import DataFile
from onnx_export.graph_writer.graph import Graph
from onnx_export.graph_writer.rounding import BYTES, blocks_of
from onnx_export.graph_writer.weights import Matrix
from onnx_export.quantize import plan
from tests.onnx_export.gguf.files import write_model

INPUTS, OUTPUTS = 200, 24


def product(folder: Path, weights: Any, bias: Any = None) -> Any:
    """A graph ``x`` -> ``y`` of one product with ``weights`` ``[OUTPUTS, INPUTS]``, opened as the engine opens it."""
    matrix = Matrix(OUTPUTS, INPUTS, BYTES, lambda start, stop: blocks_of(weights[start:stop], BYTES))
    with DataFile(folder / "model.onnx.data") as data:
        graph = Graph(data, lambda count: None)
        graph.input("x", TensorProto.FLOAT, ["batch", "sequence", INPUTS])
        made = graph.product("x", graph.stored("w", matrix), bias)
        graph.node("Identity", [made], "y")
        graph.output("y", ["batch", "sequence", OUTPUTS])
    graph.save(folder / "model.onnx")
    return open_graph(folder / "model.onnx", "cpu").session


def slowly(values: Any, weights: Any) -> Any:
    """The same product in whole numbers of Python's width."""
    scales = np.abs(weights).max(axis=1) / np.float32(127)
    whole = np.rint(weights / scales[:, None]).astype(np.int64)
    steps = np.abs(values).max(axis=-1, keepdims=True) * np.float32(1 / 127) + np.float32(1e-30)
    given = np.rint(values / steps).astype(np.int64)
    return (given @ whole.T) * scales * steps


@pytest.fixture(params=[True, False], ids=["unsigned weights", "signed weights"])
def _signs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sums_overflow", lambda: request.param)


@pytest.mark.usefixtures("_signs")
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_a_product_is_that_of_whole_numbers(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.standard_normal((OUTPUTS, INPUTS), np.float32)
    values = rng.standard_normal((1, rows, INPUTS), np.float32)
    values[:, :, 3] *= 40.0
    (made,) = product(tmp_path, weights).run(None, {"x": values})
    np.testing.assert_allclose(made, slowly(values, weights), rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("_signs")
def test_the_largest_sums_do_not_overflow(tmp_path: Path) -> None:
    weights = np.ones((OUTPUTS, INPUTS), np.float32)
    values = np.ones((1, 3, INPUTS), np.float32)
    (made,) = product(tmp_path, weights).run(None, {"x": values})
    np.testing.assert_allclose(made, np.full(made.shape, INPUTS), rtol=1e-5)


def test_a_row_does_not_depend_on_the_others_and_zeros_give_the_bias(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bias = rng.standard_normal(OUTPUTS, np.float32)
    values = rng.standard_normal((1, 9, INPUTS), np.float32)
    values[0, 4] = 0.0
    session = product(tmp_path, rng.standard_normal((OUTPUTS, INPUTS), np.float32), bias)
    (together,) = session.run(None, {"x": values})
    for row in range(9):
        (alone,) = session.run(None, {"x": values[:, row : row + 1]})
        np.testing.assert_array_equal(alone[0, 0], together[0, row])
    np.testing.assert_array_equal(together[0, 4], bias)


def test_a_folder_is_the_same_model_with_either_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "m.gguf", types=("Q5_0",))
    ids, found = np.arange(20, 40, dtype=np.int32), []
    for unsigned in (True, False):
        monkeypatch.setattr(module, "sums_overflow", lambda unsigned=unsigned: unsigned)
        folder = tmp_path / f"{unsigned}"
        manifest = convert(tmp_path / "m.gguf", folder, precision="w8a8")
        assert load_manifest(folder) == manifest
        found.append(OrtSession.load(folder, manifest, device="cpu").forward(ids, 0, range(20)))
        assert (
            0
            < (folder / "model.onnx.data").stat().st_size
            < 1.5 * converted_bytes(read_model(read_header(tmp_path / "m.gguf")), "w8a8")
        )
    np.testing.assert_array_equal(found[0], found[1])
    convert(tmp_path / "m.gguf", tmp_path / "kept")
    kept, bytes_ = (count_parameters(tmp_path / name, "model.onnx") for name in ("kept", "True"))
    assert bytes_ == kept


def test_a_checkpoint_is_told_that_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), str(tmp_path / "out"), "--precision", "w8a8"]) == 1
    assert "--precision w8a8 is for GGUF files" in capsys.readouterr().err
    with pytest.raises(ExportError, match="w8a8 is for GGUF files; a checkpoint becomes"):
        plan("w8a8", "cpu")
