"""The benchmarks run, measure what they claim to measure, and report it. Times are not checked."""

import json
import math

import pytest

from benchmarks import batches, decode, healing, startup
from benchmarks.documents import Cut, cuts, inside_tokens
from benchmarks.tables import BenchOptions, Report
from engine import Completer, CompletionRequest, StopParams
from tests.lsp_server.commands.command_line import make_model_folder, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model_folder(folder)
    return folder


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.delenv("MIDTOKEN_MODEL", raising=False)
    monkeypatch.setattr(healing, "POSITIONS", 3)
    monkeypatch.setattr(startup, "TYPED", 6)
    monkeypatch.setattr(startup, "SERVED", 3)


def test_cuts_are_inside_tokens_and_always_the_same(folder):
    completer = Completer.load(folder)
    found = cuts(completer, 5)
    assert found == cuts(completer, 5)
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("line", "inside"),
    [
        ("x return", [3, 4, 5, 6, 7]),
        ("returns", [1, 2, 3, 4, 5]),  # "return" and "s": typing may stop between the two with no effect
        ("(x) = ", []),
        ("", []),
        ("é return", []),  # tokens are counted in bytes, so such lines are left out
    ],
)
def test_places_inside_tokens(folder, line, inside):
    assert inside_tokens(Completer.load(folder), line) == inside


def test_a_fresh_cut_shares_no_token_of_text_with_another(folder):
    completer = Completer.load(folder)
    cut = Cut("x = 1\nretu", "\ny = 2\n", "r")
    stop = StopParams(max_new_tokens=1)
    reused = []
    for number in (0, 999_999):
        document = cut.fresh(number)
        result = completer.complete(CompletionRequest(document.prefix, document.suffix, stop=stop))
        reused.append(result.reused_tokens)
    assert reused == [0, 3]  # the control tokens before the suffix, and the line break at its start


def check(report: Report, name: str) -> None:
    assert report.name == name
    assert report.conditions
    for table in report.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert report.ratios
    assert all(math.isfinite(ratio.value) and ratio.value > 0 for ratio in report.ratios)


def test_batches(folder):
    report = batches.run(BenchOptions(model=folder, repetitions=3))
    check(report, "batches")
    (table,) = report.tables
    for row in table.rows:
        passes, batched = row[2], row[5]
        assert isinstance(passes, float)
        assert isinstance(batched, float)
        # The figures compare two ways to do the same. Going back reads several tokens in one pass, and its rows differ
        # from those of single steps in the last bits. At a tie, which random weights have, a text may differ: one of 3.
        assert row[-1] in ("100.0%", "66.7%")
        # No batch costs passes.
        assert batched <= passes
    *_, beam = (row for row in table.rows[:4])
    assert float(beam[5]) < float(beam[2]), "a beam of 4"


def test_healing(folder):
    progress: list[tuple[int, int]] = []
    report = healing.run(
        BenchOptions(model=folder, repetitions=2, progress=lambda done, total: progress.append((done, total)))
    )
    check(report, "healing")
    assert [row[0] for row in report.tables[0].rows] == [
        f"{mode}, {kind}" for kind in ("fresh", "warm") for mode in ("off", "k-step", "exact")
    ]
    assert progress == [(done, 6) for done in range(1, 7)]


def test_decode(folder):
    report = decode.run(BenchOptions(model=folder, repetitions=1))
    check(report, "decode")
    assert len(report.tables[0].rows) == 3, "the toy model's context holds the shortest prompt only"


def test_startup(folder):
    progress: list[tuple[int, int]] = []
    report = startup.run(
        BenchOptions(
            model=folder, device="cpu", repetitions=1, progress=lambda done, total: progress.append((done, total))
        )
    )
    check(report, "startup")
    assert len(report.tables) == 3
    assert [done for done, _ in progress] == list(range(1, progress[-1][1] + 1)), "it ends at what it announced"


def test_startup_types_as_many_characters_as_asked(folder):
    report = startup.run(BenchOptions(model=folder, device="cpu", repetitions=1, characters=3))
    assert str(report.conditions["document"]).endswith("then 3 typed one at a time")


class TestCommand:
    def test_tables_are_printed(self, capsys, folder):
        outcome = run(capsys, "bench", "decode", "--repetitions", "1", "--model", folder)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.startswith("machine\n")
        assert "bare session.run" in outcome.out

    def test_json_is_one_object(self, capsys, folder):
        outcome = run(capsys, "bench", "decode", "healing", "--repetitions", "1", "--model", folder, "--json")
        printed = json.loads(outcome.out)
        assert set(printed) == {"machine", "benchmarks"}
        assert [report["name"] for report in printed["benchmarks"]] == ["decode", "healing"]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["speed"], "no benchmark is called 'speed'; there are trie, "),
            (["decode", "--repetitions", "0"], "it must be at least 1"),
            (["decode", "--repetitions", "many"], "--repetitions"),
            (["trie", "--tokenizers", "no-such-folder"], "no folder at no-such-folder"),
        ],
    )
    def test_wrong_usage(self, capsys, arguments, says):
        outcome = run(capsys, "bench", *arguments)
        assert outcome.status == 2
        assert says in outcome.error
