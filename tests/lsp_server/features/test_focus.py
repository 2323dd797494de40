import asyncio

import pytest

from lsp_server.completion import answer
from lsp_server.effort import Machine
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import URI, Wire, connected

pytestmark = pytest.mark.asyncio


def place(line: int, character: int, uri: str = URI) -> dict[str, object]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}


async def ready(wire: Wire) -> None:
    await wire.until(lambda: wire.server.state.reading_starts)  # the last step of loading


async def test_a_document_that_is_opened_is_read_before_anybody_asks():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        await ready(wire)
        wire.open("import os\nx = 1\n")
        await wire.until(lambda: fake.read_requests)
        assert [request.prefix for request in fake.read_requests] == ["import os\nx = 1\n"]
        assert not fake.requests


async def test_a_document_that_was_opened_before_the_model_was_there_is_read_then():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("x = 1\n")
        await wire.until(lambda: fake.read_requests)
        assert fake.read_requests[-1].prefix == "x = 1\n"


async def test_what_is_shown_is_read_from_where_the_cursor_is():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        await ready(wire)
        wire.open("import os\nx = 1\n")
        wire.notify("midtoken/didFocus", place(1, 4))
        await wire.until(lambda: fake.read_requests and fake.read_requests[-1].prefix == "import os\nx = ")
        assert fake.read_requests[-1].suffix == "1\n"
        assert len(await wire.inline(1, 4)) > 0


async def test_a_document_that_is_shorter_by_then_is_read_to_its_end():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        await ready(wire)
        wire.open("import os\nx = 1\n")
        wire.change([{"text": "x"}])
        await wire.until(lambda: fake.read_requests)
        assert [request.prefix for request in fake.read_requests] == ["x"]
        assert not wire.errors


async def test_of_several_starts_only_the_last_one_reads(monkeypatch):
    monkeypatch.setattr(answer, "SETTLED_S", 0)
    fake = FakeCompleter()
    async with connected(fake) as wire:
        await ready(wire)
        wire.open("x = 1\n")
        counts = wire.server.state.scheduler.counts
        await wire.until(lambda: counts.readings == 1)
        await asyncio.gather(*(answer.read_around(wire.server) for _ in range(3)))
        assert counts.readings == 2


@pytest.mark.parametrize("configuration", [{"readAhead": False}, {"effort": "low"}, {"exclude": ["*.py"]}])
async def test_nothing_is_read_where_the_settings_do_not_want_it(configuration):
    fake = FakeCompleter()
    async with connected(fake, configuration=configuration) as wire:
        await ready(wire)
        wire.open("x = 1\n")
        wire.notify("midtoken/didFocus", place(0, 1))
        await wire.inline(0, 1)
        assert not fake.read_requests


async def test_nothing_is_read_ahead_on_a_battery():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.server.state.machine = Machine(on_battery=lambda: True)
        await ready(wire)
        wire.open("x = 1\n")
        wire.notify("midtoken/didFocus", place(0, 1))
        assert len(await wire.inline(0, 1)) > 0
        assert not fake.read_requests
        assert fake.requests[0].context_tokens is not None


@pytest.mark.parametrize(
    "params",
    [None, {}, {"textDocument": {"uri": URI}}, place(0, 0, "file:///other.py"), place(-3, 2**40), {"position": "x"}],
)
async def test_a_focus_that_cannot_be_read_or_is_nowhere_does_no_harm(params):
    async with connected() as wire:
        await ready(wire)
        wire.open("x = ")
        wire.notify("midtoken/didFocus", params)
        assert len(await wire.inline(0, 4)) > 0
