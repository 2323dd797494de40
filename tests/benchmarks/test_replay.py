"""The whole replay over real processes. The server knows the text that is typed."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import programs, replay
from benchmarks.keystrokes.accounts import Figures
from benchmarks.keystrokes.passages import Passage
from benchmarks.replay import Clock, started, type_passage
from benchmarks.replay_report import ModeResult, report
from benchmarks.tables import BenchOptions
from engine import BUNDLED_MODEL
from tests.benchmarks.fake_observed_server import KNOWN
from tests.e2e.clients import environment
from tests.lsp_server.commands.command_line import run

FAKE = [sys.executable, "-m", "tests.benchmarks.fake_observed_server"]
OPTIONS = BenchOptions(speed=5)


@pytest.fixture
def _fake(monkeypatch):
    monkeypatch.setattr(replay, "OBSERVED_SERVER", FAKE)
    # The installed code is compiled already. Filling a new folder of compiled modules would take seconds.
    monkeypatch.setattr(programs, "environment", lambda cache: environment())
    monkeypatch.setattr(replay, "IDLE_S", 0.05)


@pytest.mark.usefixtures("_fake")
@pytest.mark.parametrize("client", ["vscode", "neovim"])
def test_a_passage_is_typed_and_what_is_right_is_kept(tmp_path, client):
    async def type_it() -> tuple[replay.Mode, Mapping[str, Any] | None]:
        async with started("exact", tmp_path, OPTIONS) as mode:
            await type_passage(mode, Passage("", KNOWN.rstrip(), "\n"), 0, replace(OPTIONS, client=client))
            return mode, await mode.own_account()

    mode, statistics = asyncio.run(type_it())
    assert statistics is not None
    figures = mode.figures()
    assert 0 < len(figures.latency_ms) <= figures.requests <= figures.keys
    assert figures.kept > 0
    assert figures.accepted + figures.accepted_words > 0
    assert figures.passes > 0
    assert 0 <= figures.wasted < figures.passes
    assert figures.withdrawn == 0
    assert statistics["requests"] == figures.requests + 1
    answered = sum(statistics[f"answered{how}"] for how in ("ByModel", "ByRunning", "WithoutModel"))
    assert answered >= len(figures.latency_ms)
    assert statistics["accepted"] > 0
    assert statistics["failed"] == 0
    # The effects of all keys add up to the text.
    assert sum(len(key.insert) - key.remove for key in mode.sessions[0].keys) == len(KNOWN.rstrip())


class TestClock:
    def test_the_rest_of_a_pause_is_skipped_once_all_is_quiet(self):
        clock = Clock(speed=100)
        began = clock.now()
        asyncio.run(asyncio.wait_for(clock.wait(3600, lambda: False), 5))
        assert clock.now() - began >= 3600

    def test_it_is_waited_for_while_something_is_under_way(self):
        clock = Clock(speed=100)
        asked: list[float] = []

        def under_way() -> bool:
            asked.append(clock.now())
            return True

        asyncio.run(clock.wait(20, under_way))
        assert asked[-1] - asked[0] > 10


@pytest.mark.usefixtures("_fake")
class TestCommand:
    def test_the_report_has_every_mode(self, capsys, tmp_path):
        path = tmp_path / "known.py"
        path.write_text(KNOWN * 3)
        outcome = run(capsys, "bench", "replay", "--files", path, "--characters", 20, "--speed", 10, "--json")
        assert outcome.status == 0, outcome.err
        [report] = json.loads(outcome.out)["benchmarks"]
        assert report["name"] == "replay"
        assert [row[0] for row in report["tables"][0]["rows"]] == ["off", "k-step", "exact"]
        assert all(row[1] > 0 for row in report["tables"][0]["rows"])
        assert [row[0] for row in report["tables"][-1]["rows"]][:3] == ["in time %", "all p50 ms", "all p95 ms"]

    def test_llama_cpp_types_the_same(self, capsys, tmp_path, monkeypatch):
        fake = [sys.executable, "-m", "tests.benchmarks.fake_llama_server", KNOWN]
        monkeypatch.setattr(replay, "LLAMA_CPP_SERVER", fake)
        path, gguf = tmp_path / "known.py", tmp_path / "weights.gguf"
        path.write_text(KNOWN * 3)
        gguf.write_bytes(b"")
        options = ["--files", path, "--characters", 20, "--speed", 5, "--model", BUNDLED_MODEL]
        outcome = run(capsys, "bench", "replay", *options, "--peer", "--gguf", gguf, "--json")
        assert outcome.status == 0, outcome.err
        [report] = json.loads(outcome.out)["benchmarks"]
        answers, work, gain = (table["rows"] for table in report["tables"][:3])
        assert [row[0] for row in answers] == ["llama.cpp", "exact"]
        assert all(row[1] > 0 for row in answers)
        assert answers[0][-1] == "-"  # it keeps no statistics of its own
        peer = dict(zip(report["tables"][1]["columns"], work[0], strict=True))
        assert peer["tokens read"] > 0
        assert peer["written"] > 0
        assert peer["peak MB"] > 1
        assert gain[0][1] > 0

    def test_a_peer_that_does_not_start_says_why(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(replay, "LLAMA_CPP_SERVER", [sys.executable, "-c", "raise SystemExit('no such thing')"])
        gguf = tmp_path / "weights.gguf"
        gguf.write_bytes(b"")
        outcome = run(capsys, "bench", "replay", "--peer", "--gguf", gguf, "--model", BUNDLED_MODEL)
        assert outcome.status == 2
        assert "llama.cpp does not start (no such thing)" in outcome.err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--files", "no-such-file.py"], "there is nothing at no-such-file.py"),
            (["--characters", "0"], "--characters is 0; it must be above 0"),
            (["--speed", "nan"], "--speed is nan; it must be above 0"),
            (["--seconds", "-1"], "--seconds is -1; it must be above 0"),
            (["--peer"], "a peer needs weights; give --gguf FILE"),
            (["--peer", "--gguf", "none.gguf", "--model", str(BUNDLED_MODEL)], "there is no file at none.gguf"),
        ],
    )
    def test_wrong_usage(self, capsys, arguments, says):
        outcome = run(capsys, "bench", "replay", *arguments)
        assert outcome.status == 2
        assert says in outcome.error

    @pytest.mark.parametrize(("data", "says"), [(b"\xff\xfe", "cannot be read"), (b"\n\n", "no lines")])
    def test_files_that_cannot_be_typed(self, capsys, tmp_path, data, says):
        path = tmp_path / "odd.py"
        path.write_bytes(data)
        outcome = run(capsys, "bench", "replay", "--files", path)
        assert outcome.status == 2
        assert says in outcome.err


@pytest.mark.parametrize(("cpu_s", "expected"), [(2.0, [("CPU a minute: ours / peer", 0.5)]), (0.0, [])])
def test_a_peer_whose_processor_time_is_too_short_to_be_counted_has_no_ratio(cpu_s: float, expected: list[Any]):
    figures = Figures(4, (1.0,), 0, 1, 0, (), 1, 1, 0, 0, 1, 0, kept=2, keys=3)
    ours, peer = (
        ModeResult(name, figures, used, 60.0, 0.0, 1, None) for name, used in (("exact", 1.0), ("llama.cpp", cpu_s))
    )
    options = BenchOptions(model=BUNDLED_MODEL, replay_peer=True)
    made = report([peer, ours], [Passage("", "text", "")], 1, options)
    shares = [(ratio.name, ratio.value) for ratio in made.ratios if ratio.name.startswith("CPU")]
    assert shares == expected
