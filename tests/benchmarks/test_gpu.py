import sys
from types import SimpleNamespace

import pytest

from benchmarks import gpu
from engine.runtime.graph import NO_CUDA_LIBRARIES, Device


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, kind: str = "cuda", notice: str = "") -> None:
    opened = Device(kind, notice)
    monkeypatch.setattr(gpu, "choose_device", lambda choice: Device("cuda"))
    monkeypatch.setattr(gpu, "open_graph", lambda path, choice: SimpleNamespace(device=opened))


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    notice = "CUDA was asked for but no NVIDIA device is visible; running on the CPU"
    monkeypatch.setattr(gpu, "choose_device", lambda choice: Device("cpu", notice))
    assert gpu.main([]) == 0
    assert capsys.readouterr() == ("no figures: no NVIDIA device is visible\n", "")


def test_figures_of_the_cpu_are_never_taken_for_those_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    on_a_gpu(monkeypatch, "cpu", NO_CUDA_LIBRARIES)
    assert gpu.main([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("no figures: an NVIDIA device is here but onnxruntime could not start CUDA on it")


@pytest.mark.parametrize(
    ("torch", "says"),
    [
        (None, "torch is missing; 'make test-export TORCH=torch' installs it"),
        (
            SimpleNamespace(__version__="2.13.0+cpu", cuda=SimpleNamespace(is_available=lambda: False)),
            "torch 2.13.0+cpu cannot use the GPU; 'rm -r .venvs/export && make test-export TORCH=torch' installs a "
            "build for CUDA",
        ),
    ],
)
def test_a_torch_that_cannot_be_the_peer_is_named_before_models_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], torch: object, says: str
):
    on_a_gpu(monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert gpu.main([]) == 1
    assert capsys.readouterr().err == f"no figures: {says}\n"


def test_where_everything_is_there_nothing_stands_in_the_way(monkeypatch: pytest.MonkeyPatch):
    on_a_gpu(monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True)))
    assert gpu.obstacle_on_a_gpu() == ""
