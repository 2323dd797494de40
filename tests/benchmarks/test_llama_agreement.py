"""Comparing logits, windows of text, and reports; with llama.cpp itself if `xllamacpp` is installed."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import llama_agreement as bench
from benchmarks.llama_library import LlamaModel
from engine import BUNDLED_MODEL, DocumentError
from engine.loading import load_tokenizer
from engine.model_folder.manifest import load_manifest
from tests.fakes import FakeSession, hash_model


def test_the_divergence_is_that_of_the_distributions_and_not_of_the_scale():
    left = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32))
    right = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]], np.float32)) + np.float32(7)
    found = bench.difference(left, right)
    assert found.divergence == pytest.approx([0.25 * np.log(2), 0.0], abs=1e-6)
    assert found.same.tolist() == [False, True]


def test_the_report_compares_each_with_llama_cpp_and_with_the_floats():
    def model(best: int):
        def forward(ids):
            rows = np.zeros((len(ids), 8), np.float32)
            rows[:, best] = 2
            return rows

        return forward

    made = bench.agreement({bench.OURS: model(1), bench.FLOAT: model(1), bench.PEER: model(2)}, [[1, 2, 1], [1, 1, 1]])
    rows: dict[Any, Any] = {row[0]: row[1:] for row in made.tables[0].rows}
    assert rows["float32 -> midtoken"] == pytest.approx((0, 0, 0, 1))
    assert rows["llama.cpp -> midtoken"][3] == 0
    assert rows["float32 -> llama.cpp"][0] > 0.5
    assert [ratio.name for ratio in made.ratios] == ["mean KL", "other best token"]
    bits: dict[Any, Any] = {row[0]: row[1] for row in made.tables[1].rows}
    assert bits["midtoken"] < bits["llama.cpp"]


def test_windows_are_spread_over_the_files(tmp_path: Path):
    tokenizer = load_tokenizer(BUNDLED_MODEL, load_manifest(BUNDLED_MODEL))
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for file in files:
        file.write_text("".join(f"name_{number} = {number}\n" for number in range(2000)), encoding="utf-8")
    found = bench.windows(files, tokenizer, 4 * bench.WINDOW, begin=7)
    assert [len(ids) for ids in found] == [bench.WINDOW + 1] * 4
    assert all(ids[0] == 7 for ids in found)
    assert found[0] != found[1]
    with pytest.raises(DocumentError, match="give a longer file"):
        bench.windows(files, tokenizer, 1_000_000, begin=None)


def test_speed_is_told_as_a_ratio_of_the_same_rounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.llama_agreement.time.sleep", lambda seconds: None)

    class Peer:
        def __init__(self) -> None:
            self.asked: list[tuple[int, int]] = []

        def forward(self, ids, start, rows):
            self.asked.append((len(ids), start))

    peer = Peer()
    session = FakeSession(hash_model(8), context_length=bench.READ + bench.WRITTEN)
    made = bench.speed(session, peer, [1] * (bench.READ + bench.WRITTEN), 2)  # type: ignore[arg-type]  # all that is called of it
    assert peer.asked[:2] == [(bench.READ, 0), (1, bench.READ)]
    assert [ratio.name for ratio in made.ratios] == ["reading, time over llama.cpp", "writing, time over llama.cpp"]


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(DocumentError, match="pip install xllamacpp"):
        LlamaModel(tmp_path / "m.gguf", 16, 1)


def test_wrong_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert bench.main([str(tmp_path / "m.gguf"), str(tmp_path), str(tmp_path / "a.py")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
