from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.generators import SHAPES, Rates, measure, report_of
from engine.runtime.graph import Device


def test_rounds_are_interleaved_and_the_first_does_not_count():
    calls: list[str] = []

    def run(name: str, seconds: float):
        def taken(prompt: Sequence[int], decoded: int) -> tuple[float, float]:
            calls.append(name)
            return (100.0, 100.0) if calls.count(name) == 1 else (seconds, 2 * seconds)

        return taken

    rates = measure({"ours": run("ours", 1.0), "peer": run("peer", 2.0)}, range(8), 4, rounds=3)
    assert calls == ["ours", "peer"] * 4
    np.testing.assert_allclose(rates["ours"].prefill, [8.0] * 3)
    np.testing.assert_allclose(rates["ours"].decode, [2.0] * 3)
    np.testing.assert_allclose(rates["peer"].decode, [1.0] * 3)


def test_ratios_are_of_the_same_round():
    ours = Rates(np.array([10.0, 20.0, 30.0]), np.array([2.0, 4.0, 6.0]))
    peer = Rates(np.array([10.0, 10.0, 10.0]), np.array([1.0, 2.0, 3.0]))
    report = report_of("a model", {"ours": ours, "peer": peer}, {"peer": "ours"})
    assert [(ratio.name, ratio.value) for ratio in report.ratios] == [
        ("ours / peer, decode", 2.0),
        ("ours / peer, prefill", 2.0),
    ]
    assert report.tables[0].rows == (("ours", 20.0, 4.0), ("peer", 10.0, 2.0))


def test_random_models_have_the_size_that_they_are_called():
    for millions, (width, layers, heads, groups, inner) in SHAPES.items():
        size = width // heads
        count = 32_000 * width + layers * (2 * width * width + 2 * width * groups * size + 3 * width * inner)
        assert count / 1e6 == pytest.approx(millions, rel=0.15)


def test_shapes_and_limit_of_the_bandwidth():
    assert gpu.parameters(gpu.SHAPES["0.5 B"]) == 494_032_768  # Qwen2.5-0.5B as published
    assert gpu.parameters(gpu.SHAPES["1.5 B"]) == 1_543_714_304  # Qwen2.5-1.5B
    assert gpu.limit_tokens_per_second(gpu.SHAPES["1.5 B"], 4.3e12) == pytest.approx(1392.8, abs=0.1)


def test_without_a_gpu_one_line_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "engine.runtime.graph.choose_device",
        lambda _: Device("cpu", "CUDA was asked for but no NVIDIA device is visible; running on the CPU"),
    )
    assert gpu.main([]) == 0
    assert capsys.readouterr().out == "no figures: no NVIDIA device is visible\n"
