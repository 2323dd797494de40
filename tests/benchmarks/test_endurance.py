import asyncio
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from benchmarks import endurance, programs
from benchmarks.endurance import HOURS, MIB, Day, Sample, grown, live, report
from benchmarks.keystrokes.counted_server import MARK, Parrot, counting
from benchmarks.tables import as_text
from engine import CancellationToken, Cancelled, CompletionRequest
from tests.e2e.clients import environment

TEXT = "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n\n\n"
STEADY = [Sample(1000 * n, 100 * MIB, Counter(dict=40_000, list=30_000), 5, 12, {"documents": 3}) for n in range(9)]


def rising(**steps: int) -> list[Sample]:
    """Each hour has more of one thing."""
    return [
        replace(s, **{name: getattr(s, name) + n * step for name, step in steps.items()}) for n, s in enumerate(STEADY)
    ]


class TestGrown:
    def test_what_stays_as_it_is_has_not_grown(self):
        assert grown(STEADY) == []

    def test_what_is_there_after_the_first_hours_is_no_growth(self):
        late = [replace(sample, resident=60 * MIB, objects=Counter(dict=5), threads=2) for sample in STEADY[:5]]
        assert grown([*late, *STEADY[5:]]) == []

    @pytest.mark.parametrize(
        ("steps", "what"),
        [
            ({"resident": 2 * MIB}, "resident memory in MiB grew from 111 to 115"),
            ({"threads": 1}, "threads grew from 10 to 12"),
            ({"files": 1}, "open files grew from 18 to 20"),
        ],
    )
    def test_what_rises_is_told(self, steps, what):
        [line] = grown(rising(**steps))
        assert line == what

    def test_a_little_every_hour_shows_in_the_objects(self):
        more = [replace(s, objects=s.objects + Counter(dict=500 * n)) for n, s in enumerate(STEADY)]
        [line] = grown(more)
        assert line.startswith("live objects grew from")

    def test_models_that_stay_when_another_takes_their_place_are_told(self):
        models = [replace(STEADY[0], resident=(150 + n) * MIB) for n in range(12)]
        assert grown(STEADY, STEADY) == []
        assert grown(STEADY, models) == ["resident memory in MiB from model to model grew from 152 to 160"]


class TestParrot:
    def test_it_completes_a_word_that_stands_before(self):
        result = Parrot.load().complete(CompletionRequest("result = 0\nres"))
        assert [completion.text for completion in result.completions] == ["ult"]

    def test_it_hears_a_cancellation(self):
        token = CancellationToken()
        token.cancel()
        with pytest.raises(Cancelled):
            Parrot.load().complete(CompletionRequest("x"), token)

    def test_it_counts_where_it_is_asked_to(self, tmp_path):
        with (tmp_path / "log").open("w+") as log:
            completer = counting(Parrot.load, log)(None, device="cpu")
            assert completer.complete(CompletionRequest("values = val")).completions
            assert completer.complete(CompletionRequest(MARK)).completions == ()
            log.seek(0)
            assert re.fullmatch(r'null\n\{.*"dict": .*\}\n', log.read())


@pytest.fixture
def _installed(monkeypatch):
    # The installed code is compiled already. Filling a new folder of compiled modules would take seconds.
    monkeypatch.setattr(programs, "environment", lambda cache: environment())


@pytest.mark.usefixtures("_installed")
def test_a_short_day(capsys):
    samples, models, day = asyncio.run(live("none", 400, [TEXT * 20], seed=1))
    assert len(samples) == HOURS + 1
    assert samples[-1].keys >= 400
    assert len(models) == day.did["models changed"] == endurance.CHANGES
    assert models[-1].keys == day.keys
    assert min(sample.total for sample in samples) > 10_000
    assert samples[-1].memory["documents"] == endurance.OPEN_DOCUMENTS
    assert day.did["answered"] > 0
    assert day.did["cancelled"] > 0
    # Every document has its original length.
    assert {len(editor.before + editor.after) for editor in day.editors} == {len(TEXT * 20)}
    text = as_text(report(samples, models, day, {"model": "none"}))
    assert "resident MiB" in text
    assert f"{day.did['undone']} undone" in text


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(("leaks", "status"), [([], 0), (["threads grew"], 1)])
def test_the_exit_status_tells_whether_it_grew(monkeypatch, capsys, leaks, status):
    async def short(*_: object) -> tuple[list[Sample], list[Sample], Day]:
        return STEADY, STEADY, Day(MagicMock(), Path("log"), [TEXT], random.Random(0))

    monkeypatch.setattr(endurance, "live", short)
    monkeypatch.setattr(endurance, "grown", lambda *_: leaks)
    monkeypatch.setattr("sys.argv", ["endurance"])
    assert endurance.main() == status
    assert f"note: {leaks[0] if leaks else 'nothing grew'}" in capsys.readouterr().out
