"""The benchmark of many users runs and reports. Times are not checked."""

from itertools import pairwise

from benchmarks import continuous_batching
from benchmarks.tables import BenchOptions
from tests.lsp_server.commands.command_line import make_model_folder


def test_every_number_of_users_is_measured_on_and_off(tmp_path, monkeypatch):
    monkeypatch.setattr(continuous_batching, "SECONDS", 0.01)
    monkeypatch.setattr(continuous_batching, "SEATS", 2)
    make_model_folder(tmp_path)
    report = continuous_batching.run(BenchOptions(model=tmp_path, device="cpu", repetitions=1), (1, 3))
    (table,) = report.tables
    assert [row[:2] for row in table.rows] == [(1, "off"), (1, "on"), (3, "off"), (3, "on")]
    assert all(isinstance(row[2], float) and row[2] > 0 for row in table.rows)
    assert [ratio.name.partition(" ")[0] for ratio in report.ratios] == ["1", "3"]
    same, pairs = map(int, str(table.rows[-1][-1]).split(" of "))
    assert same == pairs > 0


def test_users_type_in_documents_of_their_own():
    asked = continuous_batching.typed(3, 0)
    assert asked == continuous_batching.typed(3, 0)
    assert len({requests[0].prefix for requests in asked}) == 3
    for requests in asked:
        typed = [len(request.prefix) for request in requests]
        assert {b - a for a, b in pairwise(typed)} == {continuous_batching.STEP}
