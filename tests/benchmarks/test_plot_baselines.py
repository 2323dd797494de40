"""What the picture shows, without drawing it."""

from pathlib import Path

import pytest

from benchmarks import plot_baselines
from benchmarks.baselines import Result
from engine import DocumentError
from lsp_server.commands.evaluation import Case


def test_shares_by_mode_and_bytes_typed():
    cases = [Case("a", "import nu", "", "mpy"), Case("b", "x = sp", "", "am"), Case("c", "x = ", "", "1")]
    cases.append(Case("d", "y = sp", "", "am"))  # its run was stopped early
    results = {
        ("a", "exact"): Result("a", "exact", "mpy as np", 2, 0.0),
        ("b", "exact"): Result("b", "exact", "an", 7, 0.0),
        ("c", "exact"): Result("c", "exact", "1", 0, 0.0),
        ("d", "exact"): Result("d", "exact", "am", 7, 0.0),
        ("a", "off"): Result("a", "off", "x", 2, 0.0),
        ("b", "off"): Result("b", "off", "", 7, 0.0),
    }
    shares = plot_baselines.shares_of(cases, results)
    assert set(shares) == {"off", "exact"}
    assert {group: share.mean for group, share in shares["exact"].items()} == {"all": 0.5, "2": 1.0, "4+": 0.0}
    assert shares["off"]["all"].mean == 0.0


@pytest.mark.parametrize("argument", ["name", "name=cases", "=a,b", "name=a,", "name=a,b,c"])
def test_an_argument_that_names_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str):
    assert plot_baselines.main([str(tmp_path / "out.svg"), argument]) == 1
    assert "is not NAME=CASES,RESULTS" in capsys.readouterr().err


def test_pairs_of_files_are_taken_together(tmp_path: Path):
    files = [tmp_path / name for name in ("c1", "r1", "c2", "r2")]
    for number in (1, 2):
        case = f'{{"id": "{number}", "prefix": "import nu", "reference": "mpy"}}'
        (tmp_path / f"c{number}").write_text(case)
        (tmp_path / f"r{number}").write_text(Result(str(number), "exact", "mpy", 2, 0.0).as_json())
    name, cases, results = plot_baselines.read_model("a=" + ",".join(map(str, files)))
    assert (name, [case.id for case in cases], set(results)) == ("a", ["1", "2"], {("1", "exact"), ("2", "exact")})
    with pytest.raises(DocumentError, match="have ids in common"):
        plot_baselines.read_model(f"a={files[0]},{files[1]},{files[0]},{files[1]}")


def test_it_is_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'export'")
    cases, results, out = tmp_path / "cases", tmp_path / "results", tmp_path / "out.svg"
    cases.write_text('{"id": "a", "prefix": "import nu", "reference": "mpy"}')
    results.write_text(Result("a", "exact", "mpy", 2, 0.0).as_json())
    assert plot_baselines.main([str(out), f"a model={cases},{results}"]) == 0
    assert "a model" in out.read_text()
