"""``midtoken evaluate``: its options, its table, its JSON, and files that hold no cases."""

import json

import pytest

from tests.lsp_server.commands.command_line import StubCompleter, forget_settings, install, run

SCORES = {"cases", "exact_first_line", "matched_chars", "identifier_exact", "edit_similarity", "ms_p50", "ms_p95"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    forget_settings(monkeypatch)


@pytest.fixture
def stub(monkeypatch):
    return install(monkeypatch, StubCompleter("rt os"))


@pytest.fixture
def cases(tmp_path):
    path = tmp_path / "cases.jsonl"
    lines = [
        {"id": "one", "prefix": "impo", "suffix": "\n", "reference": "rt os", "language": "python"},
        {"prefix": "x = ", "reference": "1"},
    ]
    path.write_text("\r\n".join(map(json.dumps, lines)) + "\r\n\r\n", encoding="utf-8")
    return path


def test_every_case_is_completed_in_every_mode(capsys, stub, cases):
    outcome = run(capsys, "evaluate", cases, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    printed = json.loads(outcome.out)
    assert list(printed) == ["off", "k-step", "exact"]
    assert all(set(scores) == SCORES for scores in printed.values())
    assert printed["exact"]["cases"] == 2
    assert printed["exact"]["exact_first_line"] == 0.5
    asked = [(request.healing.mode, request.prefix, request.suffix, request.language) for request in stub.requests]
    assert asked[:2] == [("off", "impo", "\n", "python"), ("off", "x = ", "", "")]
    assert len(asked) == 6


def test_the_table_has_a_row_a_mode(capsys, stub, cases):
    lines = run(capsys, "evaluate", cases, "--healing", "exact,off").out.splitlines()
    assert lines[0].split() == ["healing", *(name for name in lines[0].split() if name in SCORES)]
    assert [line.split()[0] for line in lines[1:]] == ["exact", "off"]


def test_baselines_are_there_for_those_who_ask(capsys, stub, cases):
    printed = json.loads(run(capsys, "evaluate", cases, "--healing", "native,constrained", "--json").out)
    assert list(printed) == ["native", "constrained"]
    assert {request.healing.mode for request in stub.requests} == {"native", "constrained"}


def test_options_reach_the_requests(capsys, stub, cases):
    run(capsys, "evaluate", cases, "--healing", "off", "--max-new-tokens", "5", "--multi-line", "--temperature", "0.2")
    request = stub.requests[0]
    assert (request.stop.max_new_tokens, request.stop.lines, request.sampling.temperature) == (5, "multi", 0.2)


def test_the_environment_chooses_no_mode(capsys, monkeypatch, stub, cases):
    # The command exists to compare them.
    monkeypatch.setenv("MIDTOKEN_HEALING", "off")
    monkeypatch.setenv("MIDTOKEN_MAX_NEW_TOKENS", "5")
    assert list(json.loads(run(capsys, "evaluate", cases, "--json").out)) == ["off", "k-step", "exact"]
    assert stub.requests[0].stop.max_new_tokens == 5


@pytest.mark.parametrize("modes", ["magic", "off,", "", "off exact"])
def test_an_unknown_mode(capsys, stub, cases, modes):
    outcome = run(capsys, "evaluate", cases, "--healing", modes)
    assert outcome.status == 2
    assert "healing is" in outcome.error


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no cases"),
        (b"\n \n", "holds no cases"),
        (b"nonsense\n", "line 1 of"),
        (b'{"prefix": "a", "reference": "b"}\n{"prefix": "a"}\n', "line 2 of"),
        (b'{"prefix": 1, "reference": "b"}', "line 1 of"),
        (b"[" * 100_000, "line 1 of"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_files_that_hold_no_cases(capsys, stub, tmp_path, data, says):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(data)
    outcome = run(capsys, "evaluate", path)
    assert outcome.status == 1
    assert says in outcome.error


def test_a_missing_file(capsys, stub, tmp_path):
    assert "nowhere" in run(capsys, "evaluate", tmp_path / "nowhere").error


def test_no_file(capsys, stub):
    assert run(capsys, "evaluate").status == 2
