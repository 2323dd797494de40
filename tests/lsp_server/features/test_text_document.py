import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import URI, Wire

pytestmark = pytest.mark.asyncio


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> dict[str, object]:
    span = {name: {"line": line, "character": at} for name, (line, at) in (("start", start), ("end", end))}
    return {"range": span, "text": text}


async def test_edits_arrive_in_order():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.open("a😀b\fc\r\nd")
        wire.change([edit((0, 1), (0, 3), ""), edit((0, 4), (1, 0), "\n")], 2)
        wire.change([edit((1, 1), (1, 9), "\u2028e")], 3)
        await wire.inline(1, 0)
        document = wire.server.session.documents[URI]
        assert (document.text, document.version) == ("ab\fc\nd\u2028e", 3)


async def test_pygls_keeps_no_text():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.open("a")
        for version in range(2, 60):
            wire.change([edit((0, 0), (0, 0), "b")], version)
        await wire.inline(0, 0)
        assert not wire.server.workspace.text_documents
        assert len(wire.server.protocol._request_futures) < 10


async def test_changes_of_a_document_that_is_not_open_are_ignored(caplog):
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.change([{"text": "x"}])
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await wire.inline(0, 0) == []
        assert "the change is ignored" in caplog.text


async def test_opening_again_replaces():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.open("a")
        wire.open("b")
        assert (await wire.inline(0, 1))[0]["insertText"] == "bone"
