from pathlib import Path

import pytest

from engine import BUNDLED_MODEL
from onnx_export.measure import main


def test_a_corpus_without_held_out_files_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.py").write_text("def f(number):\n    return number + 1\n" * 40, encoding="utf-8")
    assert main([str(BUNDLED_MODEL), "--corpus", str(tmp_path)]) == 1
    assert "no held-out files to measure on: use a larger one" in capsys.readouterr().err
