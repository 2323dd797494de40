"""The number of weights, counted from the shapes in a graph."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import BUNDLED_MODEL, ModelFolderError, describe_folder
from engine.model_folder import parameters
from engine.model_folder.parameters import count_parameters
from tests.onnx_wire import Message, field, graph, model, node, number_field


def tensor(name: str, *shape: int, dtype: int = 1, offset: int | None = None, packed: bool = False) -> Message:
    """A tensor; if it has an ``offset``, its content is in another file."""
    sizes = field(1, bytes(shape)) if packed else b"".join(number_field(1, size) for size in shape)
    message = sizes + number_field(2, dtype) + field(8, name.encode())
    if offset is None:
        return message + field(9, b"\0")
    entries = {"location": "w.data", "offset": str(offset)}
    return message + b"".join(
        field(13, field(1, key.encode()) + field(2, value.encode())) for key, value in entries.items()
    )


def number(name: str, value: int) -> Message:
    return field(1, name.encode()) + number_field(3, value) + number_field(20, 2)


GRAPHS = {
    "floats": ([node("MatMul", ["x", "w"], ["y"])], [tensor("w", 8, 16)], 128),
    "sizes in one field": ([], [tensor("w", 8, 16, packed=True)], 128),
    "numbers of the graph's own": ([], [tensor("w", 8, 16), tensor("axes", 2, dtype=7)], 128),
    "half floats beside the graph": ([], [tensor("w", 8, 16, dtype=10, offset=0)], 128),
    "a quantised product": (
        [node("MatMulNBits", ["x", "w", "s"], ["y"], attributes=[number("K", 32), number("N", 8), number("bits", 4)])],
        [tensor("w", 8, 1, 16, dtype=2), tensor("s", 8, 1)],
        256,
    ),
    "a table of four bits, packed": (
        [node("GatherBlockQuantized", ["w", "i", "s"], ["y"], attributes=[number("bits", 4)])],
        [tensor("w", 8, 16, dtype=2), tensor("s", 8, 1)],
        256,
    ),
    "one place under two names": (
        [
            node("MatMulNBits", ["x", "a", "s"], ["y"], attributes=[number("K", 32), number("N", 8)]),
            node("GatherBlockQuantized", ["b", "i", "s"], ["z"], attributes=[number("bits", 8)]),
        ],
        [tensor("a", 8, 1, 32, dtype=2, offset=0), tensor("b", 8, 32, dtype=2, offset=0), tensor("s", 8, 1)],
        256,
    ),
    "integers with scales": (
        [node("DequantizeLinear", ["w", "s", "z"], ["f"])],
        [tensor("w", 8, 16, dtype=3), tensor("s", 8), tensor("z", 8, dtype=3)],
        128,
    ),
    "cosine and sine": (
        [node("GroupQueryAttention", ["q", "k", "v", "p", "r", "l", "t", "c", "d"], ["y"])],
        [tensor("c", 100, 4), tensor("d", 100, 4), tensor("w", 3)],
        3,
    ),
    "nothing": ([], [], 0),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_weights_are_counted(tmp_path: Path, name: str):
    nodes, tensors, expected = GRAPHS[name]
    (tmp_path / "model.onnx").write_bytes(model(graph(nodes, tensors)))
    assert count_parameters(tmp_path, "model.onnx") == expected


def test_the_bundled_model():
    assert describe_folder(BUNDLED_MODEL).parameters == 8_916_224


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, model(graph([node("MatMulNBits")]))[:-3]])
def test_what_cannot_be_counted_is_not_known(tmp_path: Path, data: bytes):
    (tmp_path / "model.onnx").write_bytes(data)
    assert count_parameters(tmp_path, "model.onnx") == 0
    assert count_parameters(tmp_path, "none.onnx") == 0
    with pytest.raises(ModelFolderError, match="lies outside"):
        count_parameters(tmp_path, "../model.onnx")


def test_a_graph_of_too_many_parts_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parameters, "MOST_FIELDS", 20)
    (tmp_path / "model.onnx").write_bytes(model(graph([node("Add", ["a", "b"])] * 20, [tensor("w", 8)])))
    assert count_parameters(tmp_path, "model.onnx") == 0


@given(st.binary(max_size=200), st.binary(max_size=30), st.integers(0, 200))
def test_any_bytes_are_a_number(tmp_path_factory: pytest.TempPathFactory, data: bytes, other: bytes, at: int):
    folder = tmp_path_factory.mktemp("m")
    whole = model(graph([node("MatMulNBits", ["x", "w"])], [tensor("w", 8, 16)]))
    for content in (data, whole[:at] + other + whole[at:]):
        (folder / "model.onnx").write_bytes(content)
        assert count_parameters(folder, "model.onnx") >= 0
