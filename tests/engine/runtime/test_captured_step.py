"""The step with fixed shapes gives the rows of the ordinary one; the options passed to CUDA; what happens if it fails.

Recording needs a GPU. Everything else is the same on the CPU: shapes, memory, mask, numbers.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine import BUNDLED_MODEL, Completer, CompletionRequest, StopParams
from engine.errors import DeviceError, ModelFolderError
from engine.model_folder.manifest import GraphNames, Manifest, load_manifest
from engine.runtime import graph as graph_module
from engine.runtime import session as session_module
from engine.runtime.captured_step import can_be_captured
from engine.runtime.graph import Device, Graph, choose_device, cuda_device_count, open_graph
from engine.runtime.ort import ort
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import TokenCache
from engine.types import FloatArray, IdArray
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, make_manifest

IDS = np.array([3, 7, 300, 9, 9, 9, 1, 2, 3, 3, 511, 0, 42, 7], np.int32)


class Recorded:
    """A session of onnxruntime that records the numbers of its runs and fails when told to."""

    def __init__(self, session: Any, fails: Callable[[str], str] = lambda number: "") -> None:
        self._session = session
        self._fails = fails
        self.numbers: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
        number = "none" if options is None else options.get_run_config_entry("gpu_graph_id")
        self.numbers.append(number)
        if reason := self._fails(number):
            raise RuntimeError(reason)
        self._session.run_with_iobinding(binding, options)


def capturing(fails: Callable[[str], str] = lambda number: "", length: int = 64) -> tuple[OrtSession, Recorded]:
    recorded = Recorded(open_graph(ATTENTION_GRAPH, "cpu", 1).session, fails)
    manifest = dataclasses.replace(make_manifest(ATTENTION_HEAD), context_length=length)
    return OrtSession.over(Graph(recorded, Device("cpu", captures=True, own_memory=True)), manifest), recorded


def ordinary() -> OrtSession:
    return OrtSession.over(open_graph(ATTENTION_GRAPH, "cpu", 1), make_manifest(ATTENTION_HEAD))


def assert_close(actual: FloatArray, expected: FloatArray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-5)


def step(session: OrtSession, ids: IdArray, at: int) -> FloatArray:
    return session.forward(ids[at : at + 1], at, (0,))


def test_recorded_steps_equal_ordinary_ones_also_after_going_back():
    session, recorded = capturing()
    expected = ordinary().forward(IDS, 0, range(len(IDS)))
    assert_close(session.forward(IDS[:5], 0, range(5)), expected[:5])
    for at in range(5, len(IDS)):
        assert_close(step(session, IDS, at), expected[at : at + 1])
    for at in (6, 7, 8):
        assert_close(step(session, IDS, at), expected[at : at + 1])
    assert recorded.numbers == ["-1"] + ["1"] * 12


def test_a_step_at_the_first_and_at_the_last_position():
    session, _ = capturing(length=len(IDS))
    expected = ordinary().forward(IDS, 0, range(len(IDS)))
    assert_close(step(session, IDS, 0), expected[:1])
    session.forward(IDS[1:-1], 1, ())
    assert_close(step(session, IDS, len(IDS) - 1), expected[-1:])
    with pytest.raises(AssertionError, match="full"):
        step(session, np.append(IDS, IDS), len(IDS))


def test_logits_are_not_overwritten_by_the_next_step():
    session, _ = capturing()
    first = step(session, IDS, 0)
    copy = first.copy()
    step(session, IDS, 1)
    np.testing.assert_array_equal(first, copy)


def test_no_rows_may_be_asked_for():
    session, _ = capturing()
    assert session.forward(IDS[:1], 0, ()).shape == (0, ATTENTION_HEAD)


def test_a_sibling_has_a_recording_of_its_own():
    session, recorded = capturing()
    other = session.sibling()
    step(session, IDS, 0)
    step(other, IDS, 0)
    step(session, IDS, 1)
    assert recorded.numbers == ["1", "2", "1"]


def test_where_recording_fails_one_line_says_so_and_ordinary_steps_serve():
    session, recorded = capturing(lambda number: "capture is not permitted\nat all" if number == "1" else "")
    cache = TokenCache(session)
    message = r"^the step failed as a CUDA graph \(capture is not permitted\); it runs without from now on$"
    with pytest.raises(DeviceError, match=message):
        cache.row_after(IDS[:1], lambda: None)
    rows, _ = cache.prefill(IDS, (len(IDS) - 1,), lambda: None)
    assert_close(rows, ordinary().forward(IDS, 0, (len(IDS) - 1,)))
    assert_close(cache.row_after(np.append(IDS, IDS[:1]), lambda: None), _row_after(np.append(IDS, IDS[:1])))
    assert set(recorded.numbers[1:]) == {"-1"}


def test_without_memory_the_cache_gets_smaller_and_the_recording_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "LEAST_CONTEXT", 64)
    session, _ = capturing(lambda number: "CUDA error: out of memory" if number == "1" else "", length=256)
    with pytest.raises(DeviceError, match=r"ran out of memory .*; the context is 128 tokens from now on$"):
        step(session, IDS, 0)
    assert session.context_length == 128
    assert_close(step(session, IDS, 0), ordinary().forward(IDS[:1], 0, (0,)))


def test_a_cache_that_was_made_smaller_is_recorded_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "LEAST_CONTEXT", 64)
    failing = ["CUDA error: out of memory"]
    session, recorded = capturing(lambda number: failing.pop() if number == "-1" and failing else "", length=256)
    step(session, IDS, 0)
    with pytest.raises(DeviceError, match="128 tokens from now on"):
        session.forward(IDS, 0, ())
    assert_close(step(session, IDS, 0), ordinary().forward(IDS[:1], 0, (0,)))
    assert recorded.numbers == ["1", "-1", "2"]


def test_the_bundled_model_in_recorded_steps_writes_what_it_writes_without(monkeypatch: pytest.MonkeyPatch):
    asked = CompletionRequest("import os\n\n\ndef read(path):\n    with op", stop=StopParams(max_new_tokens=12))
    expected = Completer.load(device="cpu", threads=1).complete(asked)
    monkeypatch.setattr(graph_module, "choose_device", lambda _: Device("cpu", captures=True, own_memory=True))
    found = Completer.load(device="cpu", threads=1).complete(asked)
    assert [c.text for c in found.completions] == [c.text for c in expected.completions]


def test_only_graphs_with_fixed_shapes_can_be_captured():
    manifest = load_manifest(BUNDLED_MODEL)
    assert can_be_captured(manifest)

    def changed(**names: Any) -> Manifest:
        return dataclasses.replace(manifest, graph=dataclasses.replace(GraphNames(), **names))

    assert not can_be_captured(changed(logits_positions=None))
    assert not can_be_captured(changed(position_ids="position_ids"))
    separate = dataclasses.replace(manifest.key_value, shared=False)
    assert not can_be_captured(dataclasses.replace(manifest, key_value=separate))


def test_without_a_gpu_asking_for_the_graph_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graph_module, "cuda_device_count", lambda: 0)
    chosen = choose_device("cuda-graph")
    assert (chosen.kind, chosen.captures) == ("cpu", False)
    assert "running on the CPU" in chosen.notice
    assert "\n" not in chosen.notice


@pytest.fixture
def visible_gpu(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """As on a machine with a GPU. The providers that sessions ask for are recorded, and the CPU takes their place."""
    asked: list[Any] = []
    real = ort.InferenceSession

    def session(path: str, options: Any, providers: list[Any]) -> Any:
        asked.append(providers)
        if "enable_cuda_graph" in str(providers):
            raise RuntimeError("This session cannot use the graph capture feature\nas requested")
        opened = real(path, options, providers=["CPUExecutionProvider"])
        return SimpleNamespace(
            get_providers=lambda: ["CUDAExecutionProvider"],
            get_inputs=opened.get_inputs,
            get_outputs=opened.get_outputs,
        )

    monkeypatch.setattr(graph_module, "cuda_device_count", lambda: 1)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", session)
    return asked


def test_a_graph_that_cannot_be_captured_runs_without(visible_gpu: list[Any]):
    graph = open_graph(ATTENTION_GRAPH, "cuda-graph")
    assert (graph.device.kind, graph.device.captures) == ("cuda", False)
    assert "cannot be a CUDA graph (This session cannot use the graph capture feature); running" in graph.device.notice
    cuda = "CUDAExecutionProvider"
    assert visible_gpu == [
        [(cuda, {"enable_cuda_graph": "1"}), "CPUExecutionProvider"],
        [(cuda, {}), "CPUExecutionProvider"],
    ]


def test_a_damaged_graph_is_refused_as_without_capturing(visible_gpu: list[Any], tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelFolderError, match="export the model again"):
        open_graph(tmp_path / "model.onnx", "cuda-graph")


@pytest.mark.skipif(cuda_device_count() == 0, reason="no NVIDIA device is visible")
def test_on_a_gpu_recorded_steps_equal_those_of_the_cpu():
    session = OrtSession.over(open_graph(ATTENTION_GRAPH, "cuda-graph"), make_manifest(ATTENTION_HEAD))
    assert session.device.captures
    expected = ordinary().forward(IDS, 0, range(len(IDS)))
    session.forward(IDS[:5], 0, ())
    for at in (5, 6, 7, 8, 9, 6, 7, 8):
        np.testing.assert_allclose(step(session, IDS, at), expected[at : at + 1], rtol=0.0, atol=1e-3)


def _row_after(ids: IdArray) -> FloatArray:
    row: FloatArray = ordinary().forward(ids, 0, (len(ids) - 1,))[0]
    return row
