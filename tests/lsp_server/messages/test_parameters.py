"""Each message with missing fields and with fields of other types: what makes sense is read."""

from typing import Any

import pytest
from lsprotocol import types

from lsp_server.messages.fields import Unreadable
from lsp_server.messages.parameters import READERS, read_parameters
from lsp_server.messages.values import AskedCompletion, ChangedDocument, OpenedDocument
from lsp_server.server import create_server
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import URI, connected

Partial, Whole = types.TextDocumentContentChangePartial, types.TextDocumentContentChangeWholeDocument


def at(line: object, character: object) -> dict[str, object]:
    return {"line": line, "character": character}


def edit(start: object, end: object, text: object) -> dict[str, object]:
    return {"range": {"start": start, "end": end}, "text": text}


def test_every_method_that_is_served_has_a_reader():
    server = create_server({}, {}, FakeCompleter().load)
    features = server.protocol.fm
    assert {*features.features, *features.builtin_features, types.CANCEL_REQUEST} == {*READERS}
    assert server.state.model.close(5)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"uri": URI, "languageId": "c", "version": 3, "text": "x"}, OpenedDocument(URI, "c", 3, "x")),
        ({"uri": URI, "text": "x"}, OpenedDocument(URI, "", None, "x")),
        ({"uri": URI, "languageId": 7, "version": "1", "text": ""}, OpenedDocument(URI, "", None, "")),
        ({"uri": URI, "version": 2**40, "text": None}, OpenedDocument(URI, "", 2**31 - 1, None)),
    ],
)
def test_a_document_that_is_opened(document, expected):
    assert read_parameters(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": document}) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"text": "x"}, Whole("x")),
        ({"text": "x", "range": None}, Whole("x")),
        ({"text": "x", "rangeLength": "?"}, Whole("x")),
        (edit(at(0, 1), at(0, 2), "x"), Partial(types.Range(types.Position(0, 1), types.Position(0, 2)), "x")),
        (
            edit(at(-1, 1.5), at(2**31, 1e99), "x"),
            Partial(types.Range(types.Position(0, 1), types.Position(2**31 - 1, 2**31 - 1)), "x"),
        ),
        (edit(at(0, 1), at(0, "2"), "x"), None),
        (edit(at(0, 1), None, "x"), None),
        (edit(at(0, 1), at(0, 2), None), None),
        ({"text": "x", "range": []}, None),
        ({"text": 3}, None),
        ("x", None),
    ],
)
def test_a_change(change, expected):
    params = {"textDocument": {"uri": URI, "version": None}, "contentChanges": [change]}
    assert read_parameters(types.TEXT_DOCUMENT_DID_CHANGE, params) == ChangedDocument(URI, None, (expected,))


@pytest.mark.parametrize("changes", [None, {}, "x", 3])
def test_changes_that_are_no_list_are_one_that_cannot_be_read(changes):
    params = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": changes}
    assert read_parameters(types.TEXT_DOCUMENT_DID_CHANGE, params) == ChangedDocument(URI, 2, (None,))


@pytest.mark.parametrize(
    ("context", "kind", "has_selected"),
    [
        ({"triggerKind": 2}, 2, False),
        ({"triggerKind": 0}, 0, False),
        ({"triggerKind": -9}, -1, False),
        ({"triggerKind": "2"}, None, False),
        ({}, None, False),
        (None, None, False),
        (
            {"triggerKind": 1, "selectedCompletionInfo": {"range": {"start": at(0, 0), "end": at(0, 0)}, "text": "x"}},
            1,
            True,
        ),
        ({"triggerKind": 1, "selectedCompletionInfo": {"range": {}, "text": "x"}}, 1, False),
    ],
)
def test_a_request(context, kind, has_selected):
    params = {"textDocument": {"uri": URI}, "position": at(0, 0), "context": context}
    asked = read_parameters(types.TEXT_DOCUMENT_INLINE_COMPLETION, params)
    assert isinstance(asked, AskedCompletion)
    assert (asked.trigger_kind, asked.selected is not None) == (kind, has_selected)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (types.TEXT_DOCUMENT_DID_CHANGE, {"textDocument": {"uri": 3}, "contentChanges": []}),
        (types.TEXT_DOCUMENT_DID_OPEN, None),
        (types.TEXT_DOCUMENT_DID_CLOSE, {"textDocument": URI}),
        (types.TEXT_DOCUMENT_COMPLETION, {"textDocument": {"uri": URI}}),
        (types.NOTEBOOK_DOCUMENT_DID_OPEN, {"notebookDocument": {"cells": []}}),
        (types.WORKSPACE_EXECUTE_COMMAND, {"arguments": []}),
        (types.CANCEL_REQUEST, {"id": True}),
        (types.COMPLETION_ITEM_RESOLVE, [1]),
    ],
)
def test_without_what_it_is_about_a_message_means_nothing(method, params):
    with pytest.raises(Unreadable):
        read_parameters(method, params)


UNREADABLE = edit(at(0, "a"), at(0, 1), "z")


@pytest.mark.asyncio
async def test_after_a_change_that_cannot_be_read_the_document_is_unknown_until_it_is_sent_whole(caplog):
    async with connected() as wire:
        wire.open("x")
        wire.change([UNREADABLE], 2)
        assert await wire.inline(0, 1) == []
        assert caplog.text.count("counts as unknown until its text is sent whole") == 1
        wire.change([edit(at(0, 0), at(0, 0), "y")], 3)
        assert await wire.inline(0, 1) == []
        wire.change([UNREADABLE, {"text": "ab"}, edit(at(0, 2), at(0, 2), "c")], None)
        assert (await wire.inline(0, 3))[0]["insertText"] == "abcone"
        wire.change([{"text": "d"}, UNREADABLE], 5)
        assert await wire.inline(0, 1) == []
        wire.open("e")
        assert (await wire.inline(0, 1))[0]["insertText"] == "eone"


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [None, 2**40, -1, "2", 1.5])
async def test_versions_that_say_nothing_are_counted_here(version):
    async with connected() as wire:
        wire.open("x")
        for text in ("xy", "xyz"):
            wire.change([{"text": text}], version)
            assert (await wire.inline(0, len(text)))[0]["insertText"] == f"{text}one"


@pytest.mark.asyncio
async def test_a_document_without_language_and_version_is_completed():
    async with connected() as wire:
        wire.notify(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": {"uri": URI, "text": "x"}})
        assert (await wire.inline(0, 1))[0]["insertText"] == "xone"
        wire.notify(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": {"uri": URI, "text": None}})
        assert await wire.inline(0, 1) == []


@pytest.mark.asyncio
async def test_older_clients_count_trigger_kinds_from_zero():
    async with connected() as wire:
        wire.open("x")
        assert len(await wire.inline(0, 1, trigger=2)) == 1
        assert len(await wire.inline(0, 1, trigger=1)) == 3
        assert len(await wire.inline(0, 1, trigger=0)) == 3
        assert len(await wire.inline(0, 1, trigger=1)) == 1
        kinds: tuple[Any, ...] = (7, -1, None, "1", {})
        for odd in kinds:
            assert len(await wire.inline(0, 1, trigger=odd)) == 1


@pytest.mark.asyncio
async def test_a_notebook_whose_change_cannot_be_read_leaves_its_cells_to_themselves():
    uris = ["cell:1", "cell:2"]
    documents = [{"uri": uri, "languageId": "python", "version": 1, "text": f"# {uri}\n"} for uri in uris]
    cells = [{"kind": 2, "document": uri} for uri in uris]
    notebook = {"uri": "nb:1", "notebookType": 3, "version": "x", "cells": [*cells, {"kind": 2}, 4]}
    async with connected() as wire:
        wire.notify(types.NOTEBOOK_DOCUMENT_DID_OPEN, {"notebookDocument": notebook, "cellTextDocuments": documents})
        await wire.until(lambda: wire.server.state.notebooks.of_cell("cell:2"))
        text = {"document": {"uri": "cell:2", "version": None}, "changes": [{"text": "y"}]}
        change = {"cells": {"structure": {"array": {"start": "?"}}, "textContent": [text, 3]}}
        wire.notify(types.NOTEBOOK_DOCUMENT_DID_CHANGE, {"notebookDocument": {"uri": "nb:1"}, "change": change})
        assert (await wire.inline(0, 1, uri="cell:2"))[0]["insertText"] == "yone"
        assert wire.server.state.notebooks.of_cell("cell:2") is None


@pytest.mark.asyncio
async def test_an_id_may_be_written_as_a_number_with_a_fraction_of_nothing():
    async with connected() as wire:
        wire.open("x")
        wire.send_raw(b'Content-Length: 54\r\n\r\n{"jsonrpc": "2.0", "id": 7.0, "method": "shutdown"}   ')
        await wire.until(lambda: wire.errors)
        assert wire.errors == [{"jsonrpc": "2.0", "id": 7, "result": None}]
