"""Modes side by side on the bundled model: what is kept between runs, how places are identified, the intervals."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks import baselines, humaneval
from engine import Completer
from lsp_server.commands.evaluation import Case, Outcome

CASES = [
    {"id": "a", "prefix": "import nump", "suffix": "", "reference": "y as np"},
    {"id": "b", "prefix": "for i in ran", "suffix": "\n    print(i)\n", "reference": "ge(10):"},
    {"id": "c", "prefix": "import os\n", "suffix": "", "reference": "import sys"},
]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, CASES)), encoding="utf-8")
    return path


def test_every_mode_has_a_row_and_a_second_run_completes_nothing(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    results = tmp_path / "results.jsonl"
    arguments = [str(cases), "--results", str(results)]
    assert baselines.main(arguments) == 0
    printed = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in printed.splitlines()[3:8]] == list(baselines.MODES)
    assert len(results.read_text().splitlines()) == len(CASES) * len(baselines.MODES)
    monkeypatch.setattr(Completer, "load", None)
    assert baselines.main(arguments) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        (["--modes", "magic"], "", "healing is 'magic'"),
        ([], "no result\n", "line 1 of"),
        ([], '{"case": 1}\n', "line 1 of"),
    ],
)
def test_what_is_wrong_is_one_line(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str, says: str
):
    results = tmp_path / "results.jsonl"
    results.write_text(text, encoding="utf-8")
    assert baselines.main([str(cases), "--results", str(results), *arguments]) == 1
    message = capsys.readouterr().err
    assert says in message
    assert len(message.splitlines()) == 1


def test_bytes_of_the_token_that_were_typed():
    completer = Completer.load()
    token_bytes = completer.tokenizer.vocabulary.token_bytes
    text = "import numpy as np"
    first = token_bytes[completer.tokenizer.encode(text + "\n")[0]].decode()
    for cut in range(len(first)):
        assert baselines.typed_bytes(completer, Case("1", text[:cut], "", text[cut:])) == cut
    assert baselines.typed_bytes(completer, Case("1", "é", "", "")) in (0, 2)


def test_pairs_say_more_than_means():
    cases = [Case(str(number), "", "", "right") for number in range(100)]
    ours = [Outcome(case, "right" if number % 2 else "wrong", 0.0) for number, case in enumerate(cases)]
    peer = [Outcome(case, "right" if number % 2 and number > 10 else "wrong", 0.0) for number, case in enumerate(cases)]
    apart, paired = (
        baselines.estimate(ours, baselines.line_is_exact),
        baselines.paired_difference(ours, peer, baselines.line_is_exact),
    )
    assert apart.mean == pytest.approx(0.5)
    assert paired.mean == pytest.approx(0.05)
    assert paired.high - paired.low < apart.high - apart.low
    assert paired.low >= 0.0


TASK = {
    "task_id": "t/0",
    "prompt": "def double(x):\n",
    "canonical_solution": "    result = x * two\n",
    "suffix": "    return result\n",
}


@pytest.mark.parametrize("cut", sorted(humaneval.CUTS))
@pytest.mark.parametrize("packed", [True, False])
def test_cases_of_humaneval_put_together_are_the_task(tmp_path: Path, cut: str, packed: bool):
    data = json.dumps(TASK).encode()
    tasks, out = tmp_path / "tasks", tmp_path / "out.jsonl"
    tasks.write_bytes(gzip.compress(data) if packed else data)
    assert humaneval.main([str(tasks), str(out), "--cut", cut, "--count", "1"]) == 0
    case = json.loads(out.read_text())
    assert case["prefix"] + case["reference"] + case["suffix"] == "".join(
        TASK[name] for name in ("prompt", "canonical_solution", "suffix")
    )
    at = case["prefix"].removeprefix(TASK["prompt"])
    assert {"line": at == "", "identifier": at[-1:].isalnum(), "space": at.endswith(" ") and at.strip() != ""}[cut]


@pytest.mark.parametrize("data", [b"", b"{", b"\x1f\x8bxx", b"[]", b"{}", b"\xff\xfe"])
def test_a_file_that_is_no_such_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes):
    (tmp_path / "tasks").write_bytes(data)
    assert humaneval.main([str(tmp_path / "tasks"), str(tmp_path / "out"), "--count", "1"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
