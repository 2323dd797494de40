"""People who type against a service in this process, whose completer is a fake. Times do not count."""

import asyncio

import pytest

from benchmarks.keystrokes.passages import Passage
from benchmarks.team import load
from benchmarks.team.load import LoadOptions
from benchmarks.team.stream_client import StreamClient
from benchmarks.team.user import Record, User
from engine import RequestError
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import serve

__all__ = ["serve"]
MODELS = [{"name": "off"}, {"name": "on"}]
TEXT = "".join(f"def function_{number}(value):\n    return value + {number}\n\n\n" for number in range(120))


def test_both_kinds_of_replica_are_measured_for_every_number_of_users(serve):
    engine = FakeCompleter(("one",))
    served = serve(engine, models=MODELS, tokens=[])
    options = LoadOptions([TEXT], (1, 3), seconds=0.01, rounds=1, pauses=False)
    report = load.run(served.url, options)
    (table,) = report.tables
    assert [row[:2] for row in table.rows] == [(1, "off"), (1, "on"), (3, "off"), (3, "on")]
    cells = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert all(float(cell["answers/s"]) > 0 and cell["failed"] == cell["refused"] == 0 for cell in cells)
    assert [ratio.name.partition(" ")[0] for ratio in report.ratios] == ["1", "3"]
    sessions = {request.prefix[:200] for request in engine.requests}
    assert sessions, "the requests have text of the files"


def test_a_request_that_is_refused_is_counted_as_refused(serve):
    served = serve(FakeCompleter(("one",)), models=[{"name": "on"}])  # it wants a token
    passages = load.passages_of([TEXT], 1, 0)
    found = load.measure(served.url, "on", passages, LoadOptions([TEXT], seconds=0.01, pauses=False))
    assert (found.answered_s, found.refused) == ((), 0)
    assert found.failed > 0


def test_the_next_key_cancels_and_a_key_of_the_ghost_text_asks_nothing(serve):
    served = serve(FakeCompleter(("aaaaaaaaaaaa",)), models=[{"name": "on"}], tokens=[])

    async def use() -> Record:
        client = StreamClient(served.url)
        user = User("a", Passage("x = 1\n", "aaaa = 1", "\n"), client, "on")
        await user.open()
        await user.type(slow=0.0)
        client.close()
        return user.record

    record = asyncio.run(use())
    assert record.keys >= len("aaaa = 1")
    assert len(record.replies) + len(record.waited_s) + record.typed_through == record.keys
    assert all(reply.is_answer for reply in record.replies)


def test_each_user_types_whole_lines_in_the_middle_of_a_file():
    passages = load.passages_of([TEXT], 3, 7)
    assert passages == load.passages_of([TEXT], 3, 7) != load.passages_of([TEXT], 3, 8)
    for passage in passages:
        assert passage.before + passage.text in TEXT
        assert passage.before
        assert passage.after
        assert len(passage.text) > load.CHARACTERS - 100


def test_files_that_are_too_short_are_named_as_the_trouble():
    with pytest.raises(RequestError, match="give others with --files"):
        load.passages_of(["x = 1\n"], 1, 0)
