"""The rows of one vocabulary, computed from known results."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import vocabulary_size
from benchmarks.baselines import Result
from engine import BUNDLED_MODEL
from lsp_server.commands.evaluation import Case


def test_rows_by_bytes_typed_over_places_that_have_both():
    cases = [Case("a", "import nu", "", "mpy"), Case("b", "x = sp", "", "am"), Case("c", "y = sp", "", "am")]
    results = {
        ("a", "native"): Result("a", "native", "x", 2, 0.0),
        ("a", "exact"): Result("a", "exact", "mpy as np", 2, 0.0),
        ("b", "native"): Result("b", "native", "am", 7, 0.0),
        ("b", "exact"): Result("b", "exact", "am", 7, 0.0),
        ("c", "exact"): Result("c", "exact", "am", 7, 0.0),
    }
    both = [case for case in cases if case.id != "c"]
    assert vocabulary_size.rows(vocabulary_size.Places("16384", "any", both, results)) == [
        "| 16384 | all | 2 | 50 % | 100 % | +50 [+0, +100] |",
        "| 16384 | 2 | 1 | 0 % | 100 % | +100 [+100, +100] |",
        "| 16384 | 4+ | 1 | 100 % | 100 % | +0 [+0, +0] |",
    ]


def test_only_places_with_both_results_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases, results = tmp_path / "cases", tmp_path / "results"
    found = [Case("a", "x = sp", "", "am"), Case("b", "x = sp", "", "am"), Case("c", "x = ", "", "1")]
    cases.write_text("\n".join(json.dumps(asdict(case)) for case in found))
    keys = [("a", "native"), ("a", "exact"), ("b", "exact"), ("c", "native"), ("c", "exact")]
    results.write_text("\n".join(Result(*key, "am", 2, 0.0).as_json() for key in keys))
    assert vocabulary_size.main([f"x={cases},{results}"]) == 0
    assert "| x | all | 1 | 100 % | 100 % | +0 [+0, +0] |" in capsys.readouterr().out


def test_it_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases, results = tmp_path / "cases", tmp_path / "results"
    cases.write_text('{"id": "a", "prefix": "import nu", "reference": "mpy"}')
    results.write_text("\n".join(Result("a", mode, "mpy", 2, 0.0).as_json() for mode in ("native", "exact")))
    assert vocabulary_size.main([f"small={cases},{results}"]) == 0
    assert "| small | all | 1 | 100 % | 100 % | +0 [+0, +0] |" in capsys.readouterr().out
    assert vocabulary_size.main(["small"]) == 1
    assert "is not NAME=CASES,RESULTS" in capsys.readouterr().err


def test_places_inside_superwords_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    prefix = "def f(a):\n    if a:\n        "
    found = [Case("a", f"{prefix}ret", "", "urn False"), Case("b", f"{prefix}expr", "", "ession = 1")]
    cases, results = tmp_path / "cases", tmp_path / "results"
    cases.write_text("\n".join(json.dumps(asdict(case)) for case in found))
    texts = {("a", "native"): "x", ("a", "exact"): "urn", ("b", "native"): "ession", ("b", "exact"): "ession"}
    results.write_text("\n".join(Result(*key, text, 3, 0.0).as_json() for key, text in texts.items()))
    assert vocabulary_size.main([f"bundled={cases},{results}", "--superwords", f"bundled={BUNDLED_MODEL}"]) == 0
    out = capsys.readouterr().out
    assert "| bundled | any, of one word | 1 | 100 % | 100 % | +0 [+0, +0] |" in out
    assert "| bundled | any, of a superword | 1 | 0 % | 100 % | +100 [+100, +100] |" in out
    assert "| bundled | of a superword | 1 | 3.0 | 100 % [100, 100] | 100 % [100, 100] | 100 % [100, 100] |" in out
    assert vocabulary_size.main([f"other={cases},{results}", "--superwords", f"bundled={BUNDLED_MODEL}"]) == 0
    assert "superword" not in capsys.readouterr().out
    assert vocabulary_size.main([f"bundled={cases},{results}", "--superwords", "bundled"]) == 1
    assert capsys.readouterr().err == "error: --superwords is 'bundled'; it must be NAME=MODEL\n"


def test_a_panel_for_each_vocabulary(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'export'")
    cases, results, out = tmp_path / "cases", tmp_path / "results", tmp_path / "out.svg"
    cases.write_text('{"id": "a", "prefix": "import nu", "reference": "mpy"}')
    results.write_text("\n".join(Result("a", mode, "mpy", 2, 0.0).as_json() for mode in ("native", "exact", "off")))
    given = [f"{name}={cases},{results}" for name in ("small", "large")]
    assert vocabulary_size.main([*given, "--plot", str(out)]) == 0
    assert "small" in out.read_text()
    assert "large" in out.read_text()
