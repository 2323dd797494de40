import json
import sys
from itertools import count

from benchmarks.tables import (
    BenchOptions,
    Ratio,
    Report,
    Table,
    as_json,
    as_text,
    interleave,
    machine,
    median,
    median_ratio,
    percentile,
)
from lsp_server.commands.progress import progress_bar

REPORT = Report(
    name="reading",
    conditions={"book": "thick", "pages": 300},
    tables=(Table("a page", ("reader", "p50 ms"), (("ours", 1.2345), ("the other one", 1234.5), ("nobody", "never"))),),
    ratios=(
        Ratio("ours / other", 1.05, 1.1),
        Ratio("ours / none", 1.2, 1.1),
        Ratio("free", 0.5),
        Ratio("at once", 0.00012),
    ),
    notes=("read twice",),
)


def test_variants_are_measured_in_turn_and_the_order_is_turned_round():
    calls: list[str] = []
    clock = count(1)

    def measure(name: str) -> float:
        calls.append(name)
        return float(next(clock))

    done: list[tuple[int, int]] = []
    figures = interleave(
        {"a": lambda: measure("a"), "b": lambda: measure("b")}, 3, lambda now, total: done.append((now, total))
    )
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert figures == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_ratios_are_of_the_same_round():
    # The machine was half as fast in the second round; that says nothing about either side.
    assert median_ratio([1.0, 2.0, 1.0], [2.0, 4.0, 2.0]) == 0.5


def test_percentiles():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert percentile([0.0, 10.0], 95) == 9.5


def test_a_report_is_readable():
    lines = as_text(REPORT).splitlines()
    assert lines[:3] == ["reading", "  book: thick", "  pages: 300"]
    table = lines[lines.index("  a page") + 1 :][:4]
    assert [line.split()[-1] for line in table] == ["ms", "1.23", "1234", "never"]
    assert len({len(line) for line in table}) == 1, "the columns are aligned"
    assert any(line.endswith("1.050  (goal: at most 1.1, met)") for line in lines)
    assert any(line.endswith("1.200  (goal: at most 1.1, missed)") for line in lines)
    assert any(line.endswith("  0.500") for line in lines)
    assert any(line.endswith("  0.0001") for line in lines)
    assert lines[-1] == "  note: read twice"


def test_a_report_is_json():
    raw = json.loads(json.dumps(as_json(REPORT)))
    assert set(raw) == {"name", "conditions", "tables", "ratios", "notes"}
    assert raw["tables"][0]["columns"] == ["reader", "p50 ms"]
    assert raw["ratios"][0] == {"name": "ours / other", "value": 1.05, "at_most": 1.1, "at_least": None}


def test_the_machine_is_described():
    found = machine()
    assert set(found) == {"processor", "cores", "load", "system", "python", "onnxruntime", "numpy"}
    assert int(found["cores"]) >= 1


def test_options_have_defaults():
    options = BenchOptions()
    options.progress(1, 2)
    assert (options.model, options.device, options.repetitions) == (None, "auto", None)


class TestProgressBar:
    def test_it_is_drawn_on_a_terminal_and_wiped_away(self, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        show = progress_bar("healing")
        show(1, 3)
        show(3, 3)
        out, err = capsys.readouterr()
        assert out == ""
        assert "healing: ██████████ " in err
        assert "1 of 3" in err
        assert err.endswith("\r")
        assert err.split("\r")[-2].strip() == ""

    def test_nothing_is_drawn_elsewhere(self, capsys):
        progress_bar("healing")(1, 3)
        assert capsys.readouterr().err == ""
