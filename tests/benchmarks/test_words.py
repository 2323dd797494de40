"""The peer without a model."""

import json
from pathlib import Path

import pytest

from benchmarks import words

TEXT = "parked = 1\nparsed = 2\nspam = pa"


def case(prefix: str, reference: str) -> str:
    return json.dumps({"id": "1", "prefix": prefix, "suffix": "", "reference": reference})


@pytest.mark.parametrize(
    ("part", "word"), [("pa", "parsed"), ("park", "parked"), ("parsed", None), ("x", None), ("", "pa")]
)
def test_the_last_word_that_goes_on(part: str, word: str | None):
    assert words.last_word(TEXT, part) == word


@pytest.mark.parametrize(
    ("characters", "says"),
    [([], "3 cases: 66.7% stand in the text before, 33.3% are"), (["--characters", "20"], "3 cases: 33.3% stand")],
)
def test_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str], characters: list[str], says: str):
    path = tmp_path / "cases.jsonl"
    lines = [case(TEXT, "rsed + 1"), case(TEXT, "rked"), case(TEXT, "th"), case("spam ", "eggs")]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert words.main([str(path), *characters]) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(("text", "says"), [(case("x ", "y"), "no case inside"), ("{", "error:"), (None, "error:")])
def test_without_such_cases_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, says: str):
    path = tmp_path / "cases.jsonl"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert words.main([str(path)]) == 1
    assert says in capsys.readouterr().err
