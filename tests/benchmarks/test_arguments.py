"""``--model`` of the benchmarks that run as modules takes the same values as on our own command line."""

from pathlib import Path

import pytest

from benchmarks.arguments import parser_for
from engine import BUNDLED_MODEL


def test_a_name_a_folder_and_nothing(tmp_path: Path):
    parser = parser_for("What it does.", model=True)
    assert parser.parse_args([]).model is None
    assert parser.parse_args(["--model", "bundled"]).model == BUNDLED_MODEL
    assert parser.parse_args(["--model", str(tmp_path)]).model == tmp_path


def test_a_name_that_no_model_has(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parser_for("What it does.", model=True).parse_args(["--model", "nobody-has-this"])
    assert "nobody-has-this" in capsys.readouterr().err.splitlines()[-1]
