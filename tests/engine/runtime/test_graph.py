"""Opening graphs: where they run, what is refused, and whether they agree with their manifest."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.config import DeviceChoice
from engine.errors import ContractError, MidtokenError, ModelFolderError
from engine.model_folder.manifest import GraphNames, Manifest
from engine.runtime import graph as graph_module
from engine.runtime.graph import NO_CUDA_LIBRARIES, choose_device
from engine.runtime.session import OrtSession
from tests.onnx_wire import graph, model, node, tensor, value


@pytest.mark.parametrize("choice", ["auto", "cuda"])
def test_without_a_device_the_cpu_serves(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, choice: DeviceChoice
):
    monkeypatch.setattr(graph_module, "cuda_device_count", lambda: 0)
    loaded = OrtSession.load(folder, manifest, device=choice)
    assert (loaded.device.kind, loaded.provider) == ("cpu", "CPUExecutionProvider")
    # Only a user who asked for CUDA by name is told.
    assert bool(loaded.device.notice) == (choice == "cuda")
    assert "\n" not in loaded.device.notice


def test_without_the_provider_the_notice_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "install onnxruntime-gpu" in choose_device("cuda").notice
    assert choose_device("auto").notice == choose_device("cpu").notice == ""


@pytest.mark.parametrize("breaks", [False, True])
def test_where_cuda_cannot_start_the_cpu_serves_and_the_notice_says_what_to_install(
    folder: Path,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    breaks: bool,
):
    def preload_dlls() -> None:
        sys.stdout.write("Failed to load libcublas")
        if breaks:
            raise RuntimeError("no such folder")

    monkeypatch.setattr(graph_module, "cuda_device_count", lambda: 1)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.preload_dlls", preload_dlls)
    monkeypatch.setattr(graph_module, "_providers", lambda device: ["CPUExecutionProvider"])  # known only now
    loaded = OrtSession.load(folder, manifest, device="auto")
    assert (loaded.device.kind, loaded.device.notice) == ("cpu", NO_CUDA_LIBRARIES)
    assert "pip install 'midtoken[cuda]'" in NO_CUDA_LIBRARIES
    assert capsys.readouterr() == ("", "")


def renamed(manifest: Manifest, **names: Any) -> Manifest:
    return dataclasses.replace(manifest, graph=dataclasses.replace(GraphNames(), **names))


def resized(manifest: Manifest, **sizes: Any) -> Manifest:
    return dataclasses.replace(manifest, key_value=dataclasses.replace(manifest.key_value, **sizes))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda m: renamed(m, position_ids="position_ids"), "position_ids", id="missing input"),
        pytest.param(lambda m: renamed(m, logits_positions=None), "logits_positions", id="extra input"),
        pytest.param(lambda m: renamed(m, logits="scores"), "scores", id="missing output"),
        pytest.param(lambda m: renamed(m, past_key="past.{}.k"), "past.0.k", id="missing past"),
        pytest.param(lambda m: resized(m, layers=2), "past_key_values.1.key", id="too many layers"),
        pytest.param(
            lambda m: dataclasses.replace(m, vocabulary=dataclasses.replace(m.vocabulary, head=511)), "512", id="head"
        ),
        pytest.param(lambda m: resized(m, heads=2), "heads", id="heads"),
        pytest.param(lambda m: resized(m, head_size=8), "head size", id="head size"),
        pytest.param(lambda m: resized(m, dtype="float16"), "float16", id="cache of another type"),
    ],
)
def test_a_graph_that_disagrees_with_its_manifest_is_refused(folder: Path, manifest: Manifest, change, named: str):
    with pytest.raises(ContractError) as caught:
        OrtSession.load(folder, change(manifest), device="cpu")
    assert named in str(caught.value)
    assert_helpful(caught.value)


@pytest.mark.parametrize("size", [0, 1, 100, 3000])
def test_a_truncated_graph_is_refused(folder: Path, manifest: Manifest, size: int):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:size])
    with pytest.raises(ModelFolderError) as caught:
        OrtSession.load(folder, manifest, device="cpu")
    assert_helpful(caught.value)


def test_a_missing_graph_is_refused(tmp_path: Path, manifest: Manifest):
    with pytest.raises(ModelFolderError) as caught:
        OrtSession.load(tmp_path, manifest, device="cpu")
    assert_helpful(caught.value)


def external_graph(folder: Path, location: str) -> None:
    """A graph of one addition whose weights, it says, are in another file."""
    addition = graph([node("Add", ["x", "w"], ["y"])], [tensor("w", location)], [value("x")], [value("y")])
    (folder / "model.onnx").write_bytes(model(addition))


@pytest.mark.parametrize("place", ["../outside.data", "{absolute}"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, manifest: Manifest, place: str):
    outside = tmp_path / "outside.data"
    outside.write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    external_graph(folder, place.format(absolute=outside))
    with pytest.raises(ModelFolderError, match="names weights outside its folder; do not use this folder"):
        OrtSession.load(folder, manifest, device="cpu")


def test_a_link_to_weights_outside_the_folder_is_refused(tmp_path: Path, manifest: Manifest):
    (tmp_path / "outside.data").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    external_graph(folder, "weights.data")
    (folder / "weights.data").symlink_to(tmp_path / "outside.data")
    with pytest.raises(ModelFolderError, match=r"outside its folder; .* that consists of links\)$"):
        OrtSession.load(folder, manifest, device="cpu")


def test_weights_that_are_cut_off(tmp_path: Path, manifest: Manifest, capfd: pytest.CaptureFixture[str]):
    external_graph(tmp_path, "weights.data")
    (tmp_path / "weights.data").write_bytes(bytes(15))
    with pytest.raises(ModelFolderError, match=r"has only a part of its weights beside it; copy the whole folder$"):
        OrtSession.load(tmp_path, manifest, device="cpu")
    assert capfd.readouterr() == ("", "")  # and onnxruntime prints nothing itself


def test_weights_that_are_not_there_are_named(tmp_path: Path, manifest: Manifest):
    external_graph(tmp_path, "absent.data")
    with pytest.raises(ModelFolderError, match="in a file that is not there; copy the whole folder"):
        OrtSession.load(tmp_path, manifest, device="cpu")


def test_custom_operators_are_refused(folder: Path, manifest: Manifest):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"GroupQueryAttention", b"GroupQueryAttentiox"))
    with pytest.raises(
        ModelFolderError, match=r"needs custom operators .*, and Midtoken loads no code of a model folder"
    ):
        OrtSession.load(folder, manifest, device="cpu")


def assert_helpful(error: MidtokenError) -> None:
    assert "\n" not in str(error)
    assert "export the model" in str(error)
