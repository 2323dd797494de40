"""Peers in processes of their own: ours with the bundled model, a scripted one, and one that fails."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks import peer_process, peers
from benchmarks.peer_process import Reply
from benchmarks.tables import BenchOptions
from engine import BUNDLED_MODEL, DocumentError, RequestError
from lsp_server.commands.evaluation import Case, Outcome
from tests.lsp_server.commands.command_line import run

CASE = Case("a", "import nump", "", "y as np")
AGAIN = replace(CASE, reference="y")


def test_our_engine_answers_in_a_process_of_its_own():
    record = peers.run_all([CASE, AGAIN], {peers.OURS: BUNDLED_MODEL}, 2)[peers.OURS]
    assert [reply.text for reply in record.cold] == ["y as np", "y as np"]
    assert record.warm[0].text == " as np"
    assert record.warm[1].read == 0
    assert record.used["peak_mb"] > 10
    assert record.used["processor_s"] > 0


class Scripted:
    """In place of a peer's process: it repeats the prefix, and keeps what it was asked."""

    asked: ClassVar[list[str]] = []

    def __init__(self, kind: str, path: Path) -> None:
        assert (kind, path.name) == ("llama.cpp", "weights.gguf")

    def complete(self, prefix: str, suffix: str, path: str) -> Reply:
        self.asked.append(prefix)
        return Reply(prefix, 1.0)

    def stop(self) -> dict[str, float]:
        return {"peak_mb": 10.0 + len(self.asked), "processor_s": 2.0}

    def kill(self) -> None:
        """Nothing runs."""


def test_a_run_goes_on_from_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peers, "PeerProcess", Scripted)
    monkeypatch.setattr(Scripted, "asked", [])
    models, results = {"llama.cpp": tmp_path / "weights.gguf"}, tmp_path / "build" / "answers.jsonl"
    other = Case("a", "import os", "", ".path")  # the same id, another text
    peers.run_all([CASE], models, 2, results=results)
    record = peers.run_all([CASE, other], models, 2, results=results)["llama.cpp"]
    assert Scripted.asked == ["import nump", "import numpy", "import os", "import os."]
    assert [reply.text for reply in record.cold] == ["import nump", "import os"]
    assert [reply.text for reply in record.warm] == ["import numpy", "import os."]
    assert record.used == {"peak_mb": 14.0, "processor_s": 4.0}
    peers.run_all([CASE, other], models, 2, results=results)
    assert len(Scripted.asked) == 4


def test_places_that_are_not_timed_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peers, "PeerProcess", Scripted)
    monkeypatch.setattr(Scripted, "asked", [])
    models, results = {"llama.cpp": tmp_path / "weights.gguf"}, tmp_path / "answers.jsonl"
    other = Case("b", "import os", "", ".path")
    record = peers.run_all([CASE, other], models, 1, results=results)["llama.cpp"]
    assert Scripted.asked == ["import nump", "import numpy", "import os"]
    assert [reply.text for reply in record.cold] == ["import nump", "import os"]
    assert [reply.text for reply in record.warm] == ["import numpy"]
    peers.run_all([CASE, other], models, 1, results=results)
    assert len(Scripted.asked) == 3
    peers.run_all([CASE, other], models, 2, results=results)  # timed now, so both times anew
    assert Scripted.asked[3:] == ["import os", "import os."]


def test_times_are_of_the_timed_places_only():
    def record(factor: float) -> peers.Record:
        cold = [Reply("y", 10 * factor), Reply("y", 1000.0)]
        return peers.Record(cold, [Reply("y", 2 * factor)], [Outcome(CASE, "y", 10.0)] * 2)

    made = peers.report({peers.OURS: record(1), "llama.cpp": record(4)})
    assert [row[1] for row in made.tables[1].rows] == [10, 40]
    assert [ratio.value for ratio in made.ratios] == [0.25, 0.25]


def test_what_is_not_known_is_a_dash(tmp_path: Path):
    answers = peers.Answers(tmp_path / "answers.jsonl")  # of a run that was stopped before its processes ended
    reply = asdict(Reply("import nump", 1.0))
    for name in ("midtoken", "llama.cpp"):
        answers.add({"peer": name, "case": peers.key_of(CASE), "cold": reply, "warm": reply})
    made = peers.report({name: answers.record(name, [CASE], 1) for name in ("midtoken", "llama.cpp")})
    assert [row[-4:] for row in made.tables[1].rows] == [("-", "-", "-", "-")] * 2


@pytest.mark.parametrize("line", ["", "{}", '{"peer": "llama.cpp", "case": "a", "cold": {}, "warm": {}}', "[]"])
def test_a_file_that_holds_no_answers(tmp_path: Path, line: str):
    results = tmp_path / "answers.jsonl"
    results.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(DocumentError, match=r"line 1 of .* is no answer; delete the file to begin anew"):
        peers.run_all([CASE], {}, 1, results=results)


def test_answers_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="answers cannot be written"):
        peers.Answers(tmp_path / "file" / "answers.jsonl").add({"peer": "llama.cpp", "used": {}})


def test_a_peer_that_cannot_start_says_why(tmp_path: Path):
    with pytest.raises(DocumentError, match="midtoken ended"):
        peers.run_all([CASE], {peers.OURS: tmp_path}, 1)


def test_the_report_has_ratios_to_each_peer():
    def record(factor: float, text: str) -> peers.Record:
        made = peers.Record(used={"peak_mb": 1.0, "processor_s": 1.0})
        made.cold = [Reply(text, 10 * factor, read=100, read_ms=50 * factor, written=4, written_ms=8)]
        made.warm = [Reply(text, 2 * factor)]
        made.outcomes = [Outcome(CASE, text, 10 * factor)]
        return made

    made = peers.report({peers.OURS: record(1, "y as np"), "llama.cpp": record(2, "y")})
    assert [(ratio.name, ratio.value) for ratio in made.ratios] == [
        ("cold, over llama.cpp", 0.5),
        ("warm, over llama.cpp", 0.5),
    ]
    assert made.tables[0].rows[0][:3] == (peers.OURS, "100.0 [100, 100]", "100.0 [100, 100]")
    assert made.tables[0].rows[1] == ("llama.cpp", "0.0 [0, 0]", "100.0 [100, 100]", "100.0 [100, 100]")
    assert made.tables[1].rows[0][4] == 2000.0


def gguf_in(folder: Path) -> Path:
    path = folder / "weights.gguf"
    path.write_bytes(b"")
    return path


def test_one_command_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    # In place of llama.cpp, which needs weights: our engine again.
    monkeypatch.setattr(peers, "run_all", lambda cases, models, timed, progress, results: asked(cases, models))
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"prefix": CASE.prefix, "reference": CASE.reference}), encoding="utf-8")
    options = ["--gguf", gguf_in(tmp_path), "--cases", cases, "--model", BUNDLED_MODEL, "--peers", "llama.cpp"]
    outcome = run(capsys, "bench", "peers", *options, "--json")
    assert outcome.status == 0, outcome.err
    [made] = json.loads(outcome.out)["benchmarks"]
    assert made["conditions"] == {"weights": "weights.gguf", "model folder": "bundled", "places": 1, "timed": 1}
    assert [row[0] for row in made["tables"][0]["rows"]] == ["midtoken", "llama.cpp"]


def asked(cases: list[Case], models: dict[str, Path]) -> dict[str, peers.Record]:
    assert [case.prefix for case in cases] == [CASE.prefix]
    assert {name: path.name for name, path in models.items()} == {"midtoken": "bundled", "llama.cpp": "weights.gguf"}
    reply = Reply("y as np", 10.0)
    return {
        name: peers.Record(
            [reply], [reply], [Outcome(cases[0], reply.text, 10.0)], {"peak_mb": 1.0, "processor_s": 1.0}
        )
        for name in models
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--peers", "nobody"], "no peer is called 'nobody'"),
        (["--cases", "none.jsonl"], "none.jsonl cannot be read"),
        (["--results", "."], "cannot be read"),
        (["--places", "0"], "--places is 0; it must be above 0"),
        (["--timed", "0"], "--timed is 0; it must be above 0"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str):
    options = ["--gguf", gguf_in(tmp_path), "--model", BUNDLED_MODEL, "--peers", "llama.cpp", *arguments]
    outcome = run(capsys, "bench", "peers", *options)
    assert outcome.status == 2
    assert says in outcome.err


def test_places_of_our_own_sources_are_inside_identifiers_and_the_same_each_time(tmp_path: Path):
    found = peers.cases_of(BenchOptions(places=20))
    assert found == peers.cases_of(BenchOptions(places=20))
    assert all(case.inside_identifier and case.path for case in found)
    assert max(len(case.prefix) for case in found) <= peers.BEFORE


def test_every_peer_is_known_by_the_process():
    assert list(peer_process.PEERS) == [peers.OURS, *peers.NEEDED]


def test_a_place_at_which_a_peer_fails_counts_against_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def complete(prefix: str, suffix: str, path: str) -> peer_process.Reply:
        if prefix == "b":
            raise KeyError(412)
        return peer_process.Reply(prefix, 1.0)

    asked = "".join(json.dumps({"prefix": prefix, "suffix": "", "path": ""}) + "\n" for prefix in "abc")
    monkeypatch.setitem(peer_process.PEERS, "llama.cpp", lambda path: complete)
    monkeypatch.setattr("sys.stdin", io.StringIO(asked))
    assert peer_process.main(["llama.cpp", "weights.gguf"]) == 0
    _, *replies, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(reply["text"], reply["failed"]) for reply in replies] == [("a", ""), ("", "KeyError"), ("c", "")]


@pytest.mark.parametrize(
    ("text", "prefix", "rest"),
    [
        ("\ndef f(arr", "\ndef f(a", "rr"),
        ("def f(arr", "\ndef f(a", "rr"),  # the white space in front was taken off
        ("def f(arr", "def f(a", "rr"),
        ("def f(brr", "\n def f(a", "rr"),
    ],
)
def test_a_healed_text_begins_where_the_prefix_ended(text: str, prefix: str, rest: str):
    assert peer_process.after_stripped(text, prefix) == rest


def test_failures_stand_in_the_table():
    reply, failure = Reply("y as np", 10.0), Reply("", 10.0, failed="KeyError")
    outcomes = [Outcome(CASE, each.text, 10.0) for each in (reply, failure)]
    used = {"peak_mb": 1.0, "processor_s": 1.0}
    record = peers.Record([reply, failure], [reply, reply], outcomes, used)
    made = peers.report({"midtoken": peers.Record([reply] * 2, [reply] * 2, outcomes, used), "llama.cpp": record})
    assert [row[0] for row in made.tables[0].rows] == ["midtoken", "llama.cpp (KeyError at 1)"]
