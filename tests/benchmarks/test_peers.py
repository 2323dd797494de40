"""Peers in processes of their own: ours with the bundled model, another that is scripted, and one that breaks."""

import json
from pathlib import Path

import pytest

from benchmarks import peer_process, peers
from benchmarks.peer_process import Reply
from engine import BUNDLED_MODEL, DocumentError
from lsp_server.commands.evaluation import Case, Outcome

CASE = Case("a", "import nump", "", "y as np")


def test_our_engine_answers_in_a_process_of_its_own():
    record = peers.run_all([CASE, CASE], {peers.OURS: BUNDLED_MODEL})[peers.OURS]
    assert [reply.text for reply in record.cold] == ["y as np", "y as np"]
    assert record.warm[0].text == " as np"
    assert record.warm[1].read == 0
    assert record.used["peak_mb"] > 10
    assert record.used["processor_s"] > 0


def test_a_peer_that_cannot_start_says_why(tmp_path: Path):
    with pytest.raises(DocumentError, match="midtoken ended"):
        peers.run_all([CASE], {peers.OURS: tmp_path})


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
    assert made.tables[0].rows[0][:3] == (peers.OURS, 100.0, 100.0)
    assert made.tables[0].rows[1][:3] == ("llama.cpp", 0.0, 100.0)
    assert made.tables[0].rows[0][6] == 2000.0


def test_a_wrong_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"prefix": "x"}), encoding="utf-8")
    assert peers.main([str(cases), "--gguf", "none.gguf", "--model", "none"]) == 1
    assert capsys.readouterr().err.startswith("error: line 1")


def test_every_peer_is_known_by_the_process():
    assert next(iter(peer_process.PEERS)) == peers.OURS
