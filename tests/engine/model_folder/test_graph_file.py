"""What a graph would do and read is known before it is opened."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import BUNDLED_MODEL
from engine.errors import ModelFolderError
from engine.model_folder.graph_file import MOST_NESTED, MOST_NODES, check_graph_file
from engine.runtime.ort import ort
from tests.fakes import ATTENTION_GRAPH, SEPARATE_GRAPH
from tests.onnx_wire import (
    field,
    function,
    graph,
    graph_attribute,
    model,
    node,
    number_field,
    tensor,
    tensor_attribute,
    value,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "outside.data").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    return folder / "model.onnx"


def refused(path: Path, data: bytes, says: str) -> None:
    path.write_bytes(data)
    started = time.thread_time()
    with pytest.raises(ModelFolderError, match=says) as caught:
        check_graph_file(path)
    assert time.thread_time() - started < 20
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("good", [ATTENTION_GRAPH, SEPARATE_GRAPH, BUNDLED_MODEL / "model.onnx"])
def test_good_graphs_pass(good: Path):
    check_graph_file(good)


def test_weights_beside_the_graph_are_fine(path: Path):
    path.write_bytes(model(graph(tensors=[tensor("w", "weights.data")])))
    (path.parent / "weights.data").write_bytes(bytes(16))
    check_graph_file(path)


def branch(place: str) -> bytes:
    """The graph of an If with weights of its own. onnxruntime checks only those of the main graph."""
    inner = graph([node("Identity", ["w"], ["z"])], [tensor("w", place)], outputs=[value("z")])
    both = [graph_attribute(name, inner) for name in ("then_branch", "else_branch")]
    return model(graph([node("If", ["c"], ["y"], attributes=both)], inputs=[value("c", 1, 9)], outputs=[value("y")]))


PLACES: dict[str, Callable[[str], bytes]] = {
    "initializer": lambda place: model(graph(tensors=[tensor("w", place)])),
    "branch": branch,
    "constant": lambda place: model(
        graph([node("Constant", [], ["y"], attributes=[tensor_attribute("value", tensor("w", place))])])
    ),
    "sparse": lambda place: model(graph() + field(15, field(1, tensor("w", place)))),
    "function": lambda place: model(
        graph(), [function("f", [node("Constant", attributes=[tensor_attribute("value", tensor("w", place))])])]
    ),
    "second graph": lambda place: model(graph()) + field(7, graph(tensors=[tensor("w", place)])),
    "training": lambda place: model(graph()) + field(20, field(1, graph(tensors=[tensor("w", place)]))),
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("../outside.data", "names weights outside its folder; do not use this folder"),
        ("{absolute}", "names weights outside its folder"),
        ("link.data", "names weights outside its folder"),
        ("hard.data", "a hard link"),
        ("absent.data", "in a file that is not there"),
        ("*/_ORT_MEM_ADDR_/*", "in a file that is not there"),
        ("", "not a regular file"),
        (".", "not a regular file"),
        ("a\0b", "cannot be read"),
        ("\ud800", "in a file that is not there"),
    ],
)
def test_weights_of_other_files(path: Path, where: str, place: str, says: str):
    outside = path.parent.parent / "outside.data"
    (path.parent / "link.data").symlink_to(outside)
    os.link(outside, path.parent / "hard.data")
    refused(path, PLACES[where](place.format(absolute=outside)), says)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_in_place_of_weights(path: Path):
    os.mkfifo(path.parent / "weights.data")
    refused(path, model(graph(tensors=[tensor("w", "weights.data")])), "not a regular file")


def test_a_hard_link_whose_hash_was_compared_is_fine(path: Path):
    path.write_bytes(model(graph(tensors=[tensor("w", "weights.data")])))
    os.link(path.parent.parent / "outside.data", path.parent / "weights.data")
    check_graph_file(path, hashed=[path.parent / "weights.data"])
    with pytest.raises(ModelFolderError, match="a hard link"):
        check_graph_file(path, hashed=[path.parent.parent / "weights.data"])


def test_the_graph_of_the_branches_is_one_that_opens(path: Path):
    (path.parent / "w.data").write_bytes(bytes(16))
    path.write_bytes(branch("w.data"))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["y"]


def nested_functions(depth: int, calls: int) -> bytes:
    functions = [
        function(f"f{level}", [node(f"f{level + 1}", ["x"], ["y"], domain="ours")] * calls) for level in range(depth)
    ]
    functions.append(function(f"f{depth}", [node("Identity", ["x"], ["y"])]))
    return model(graph([node("f0", ["x"], ["y"], domain="ours")]), functions)


def test_functions_that_become_too_many_nodes(path: Path):
    path.write_bytes(nested_functions(4, 10))
    check_graph_file(path)
    refused(path, nested_functions(9, 10), "more than 100000 nodes")
    refused(path, nested_functions(200, 2), "more than 100000 nodes")


def test_functions_that_call_each_other(path: Path):
    call = [node(name, ["x"], ["y"], domain="ours") for name in ("f", "g")]
    refused(path, model(graph(call), [function("f", call[1:]), function("g", call[:1])]), "nodes")
    refused(path, model(graph(), [function("f", call[:1])]), "nodes")


def test_a_function_for_an_operator_of_the_standard(path: Path):
    body = [node("Identity", ["x"], ["y"])] * 1000
    functions = [function("Add", [node("Mul")] * 1000, ""), function("Mul", body, "ai.onnx")]
    refused(path, model(graph([node("Add")]), functions), "more than 100000 nodes")


def test_too_many_of_anything(path: Path):
    refused(path, model(graph([node("Add")] * (MOST_NODES + 1))), "more than 100000 nodes")
    refused(path, model(graph(), [function(f"f{number}", []) for number in range(257)]), "more than 256 functions")
    refused(path, model(graph()) + number_field(1, 10) * 2_000_000, "more than 2000000 parts")


@pytest.mark.parametrize("operator", ["Loop", "Scan", "SequenceMap", "GreedySearch"])
def test_what_runs_again_and_again(path: Path, operator: str):
    inner = graph([node("If", attributes=[graph_attribute("then_branch", graph([node(operator)]))])])
    for data in (model(graph([node(operator)])), model(inner), model(graph(), [function("f", [node(operator)])])):
        refused(path, data, f"repeatedly .{operator}.; do not use")


def test_branches_in_each_other(path: Path):
    inner = graph()
    for _ in range(MOST_NESTED):
        inner = graph([node("If", attributes=[graph_attribute("then_branch", inner)])])
    refused(path, model(inner), "nested more than 16 deep")


@pytest.mark.parametrize("data", [b"\x08", b"\x3a\x05\x0a", b"\x3b\x3c", b"\xff" * 20, b"\x3a" + b"\xff" * 9 + b"\x7f"])
def test_what_is_no_message(path: Path, data: bytes):
    refused(path, data, "no graph, or a part of one; export the model again")


def test_what_is_no_file(path: Path):
    refused(path, b"", "export the model again")
    path.unlink()
    path.symlink_to(path.parent.parent / "outside.data")
    with pytest.raises(ModelFolderError, match="outside"):
        check_graph_file(path)


def test_a_graph_of_terabytes_is_not_read(path: Path):
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: it takes no space on the disk
    with pytest.raises(ModelFolderError, match="at most 2147483648 are read"):
        check_graph_file(path)


@given(st.integers(0, 4000), st.binary(max_size=8), st.integers(0, 8))
def test_whatever_is_changed_gives_an_answer(tmp_path_factory: pytest.TempPathFactory, at: int, new: bytes, gone: int):
    data = ATTENTION_GRAPH.read_bytes()
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    path.write_bytes(data[:at] + new + data[at + gone :])
    with suppress(ModelFolderError):
        check_graph_file(path)
