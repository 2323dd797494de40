import pytest

from lsp_server import state
from tests.lsp_server.wire import URI, connected

pytestmark = pytest.mark.asyncio


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> dict[str, object]:
    span = {name: {"line": line, "character": at} for name, (line, at) in (("start", start), ("end", end))}
    return {"range": span, "text": text}


async def test_edits_arrive_in_order():
    async with connected() as wire:
        wire.open("a😀b\fc\r\nd")
        wire.change([edit((0, 1), (0, 3), ""), edit((0, 4), (1, 0), "\n")], 2)
        wire.change([edit((1, 1), (1, 9), "\u2028e")], 3)
        await wire.inline(1, 0)
        document = wire.server.state.documents[URI]
        assert (document.text, document.version) == ("ab\fc\nd\u2028e", 3)


async def test_pygls_keeps_no_text():
    async with connected() as wire:
        wire.open("a")
        for version in range(2, 60):
            wire.change([edit((0, 0), (0, 0), "b")], version)
        await wire.inline(0, 0)
        assert not wire.server.workspace.text_documents
        assert len(wire.server.protocol._request_futures) < 10


async def test_changes_of_a_document_that_is_not_open_are_ignored(caplog):
    async with connected() as wire:
        wire.change([{"text": "x"}])
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await wire.inline(0, 0) == []
        assert "the change is ignored" in caplog.text


async def test_opening_again_replaces():
    async with connected() as wire:
        wire.open("a")
        wire.open("b")
        assert (await wire.inline(0, 1))[0]["insertText"] == "bone"


async def test_a_document_that_is_too_long_is_left_out_until_it_is_shorter(monkeypatch, caplog):
    monkeypatch.setattr(state, "MOST_CHARACTERS_OF_ONE", 10)
    async with connected() as wire:
        wire.open("a\n23456789")
        assert await wire.inline(0, 1) != []
        wire.change([edit((0, 0), (0, 0), "x")], 2)
        wire.change([edit((0, 0), (0, 0), "y")], 3)
        wire.change([{"text": "0123456789" * 2}], 4)
        assert await wire.inline(0, 1) == []
        assert wire.server.state.documents == {}
        assert wire.server.state.left_out == {URI: "python"}
        assert caplog.text.count("is left out") == 1
        assert "not open" not in caplog.text
        wire.change([edit((0, 0), (0, 0), "z"), {"text": "ab"}, edit((0, 2), (0, 2), "c")], 5)
        assert (await wire.inline(0, 3))[0]["insertText"] == "abcone"
        assert wire.server.state.left_out == {}


async def test_what_was_not_changed_for_longest_is_left_out_first(monkeypatch):
    monkeypatch.setattr(state, "MOST_CHARACTERS", 10)
    async with connected() as wire:
        for name in ("a", "b", "c"):
            wire.open("abcd", f"file:///{name}.py")
        assert await wire.inline(0, 4, uri="file:///c.py") != []
        kept = wire.server.state
        assert (list(kept.documents), list(kept.left_out)) == (["file:///b.py", "file:///c.py"], ["file:///a.py"])
        assert kept.document_characters == 8
        wire.change([{"text": "e"}], 2, "file:///a.py")
        wire.notify("textDocument/didClose", {"textDocument": {"uri": "file:///b.py"}})
        assert await wire.inline(0, 1, uri="file:///a.py") != []
        assert (list(kept.documents), list(kept.left_out)) == (["file:///c.py", "file:///a.py"], [])
