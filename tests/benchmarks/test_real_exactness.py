"""Brute force over a real model's token sequences: what it adds up to, and that exact healing comes close to it."""

import json
from pathlib import Path

import pytest

from benchmarks import real_exactness
from engine import BUNDLED_MODEL

CASE = {"id": "a", "prefix": "import os\n\nif os.path.ex", "suffix": "", "reference": "ists(path):"}


def test_exact_is_nearer_to_the_truth_than_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps(CASE), encoding="utf-8")
    assert real_exactness.main([str(cases), "--model", str(BUNDLED_MODEL), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[0])
    assert found["exact"] < 0.02 < found["off"]
    assert 0.8 < found["followed"] <= 1.0
    assert lines[1].startswith("1 places")


def test_distance_between_distributions():
    assert real_exactness.total_variation({b"a": 0.5, b"b": 0.5}, {b"a": 1.0}) == 0.5
    assert real_exactness.total_variation({b"a": 1.0}, {b"b": 1.0}) == 1.0


def test_a_folder_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps(CASE), encoding="utf-8")
    assert real_exactness.main([str(cases), "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
