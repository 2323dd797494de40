"""Notebooks over the wire. The model reads the code cells in order as one document; positions are those of the cell."""

import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, Wire, connected

pytestmark = pytest.mark.asyncio

NOTEBOOK = "file:///project/a.ipynb"
CODE, PROSE = 2, 1


def uri(name: str) -> str:
    return f"vscode-notebook-cell:/project/a.ipynb#{name}"


def cell(name: str, kind: int = CODE) -> dict[str, object]:
    return {"kind": kind, "document": uri(name)}


def text(name: str, content: str, language: str = "python") -> dict[str, object]:
    return {"uri": uri(name), "languageId": language, "version": 1, "text": content}


def open_notebook(wire: Wire, *cells: tuple[str, str], prose: tuple[str, ...] = (), notebook: str = NOTEBOOK) -> None:
    document = {
        "uri": notebook,
        "notebookType": "jupyter-notebook",
        "version": 1,
        "cells": [cell(name, PROSE if name in prose else CODE) for name, _ in cells],
    }
    texts = [text(name, content, "markdown" if name in prose else "python") for name, content in cells]
    wire.notify("notebookDocument/didOpen", {"notebookDocument": document, "cellTextDocuments": texts})


def change(wire: Wire, version: int = 2, notebook: str = NOTEBOOK, **cells: object) -> None:
    params = {"notebookDocument": {"uri": notebook, "version": version}, "change": {"cells": cells}}
    wire.notify("notebookDocument/didChange", params)


async def test_every_notebook_is_asked_for():
    async with Wire(FakeCompleter().load) as wire:
        able = {**CAPABILITIES, "notebookDocument": {"synchronization": {}}}
        result = await wire.initialize(capabilities=able)
        assert result["capabilities"]["notebookDocumentSync"] == {
            "notebookSelector": [{"notebook": "*"}],
            "save": False,
        }


async def test_the_cells_before_and_after_are_read_in_order():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        open_notebook(
            wire, ("a", "import os\r\n"), ("b", "# A title\n"), ("c", "os.pa)"), ("d", "\nprint()"), prose=("b",)
        )
        [item] = await wire.inline(0, 5, uri=uri("c"), trigger=2)
        assert item["insertText"] == "paone"
        assert item["range"] == {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 5}}
        assert fake.requests[0].prefix == "import os\n\n\nos.pa"
        assert fake.requests[0].suffix == ")\n\n\nprint()"


async def test_changes_of_text_count():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        open_notebook(wire, ("a", "x = 1"), ("b", "y"))
        start = {"line": 0, "character": 4}
        edit = {"range": {"start": start, "end": {"line": 0, "character": 5}}, "text": "😀é"}
        change(wire, textContent=[{"document": {"uri": uri("a"), "version": 2}, "changes": [edit]}])
        await wire.inline(0, 1, uri=uri("b"))
        assert fake.requests[0].prefix == "x = 😀é\n\n\ny"
        assert wire.server.state.documents[uri("a")].version == 2


async def test_cells_come_move_and_go():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        open_notebook(wire, ("a", "a = 1"), ("b", "b = 1"), ("c", "c"))
        added = {"start": 1, "deleteCount": 0, "cells": [cell("new")]}
        change(wire, structure={"array": added, "didOpen": [text("new", "new = 1")]})
        await wire.inline(0, 1, uri=uri("c"))
        assert fake.requests[-1].prefix == "a = 1\n\n\nnew = 1\n\n\nb = 1\n\n\nc"
        moved = {"start": 0, "deleteCount": 3, "cells": [cell("b"), cell("a")]}
        change(wire, 3, structure={"array": moved, "didClose": [{"uri": uri("new")}]})
        assert [item["insertText"] for item in await wire.inline(0, 0, uri=uri("c"))] == ["one", "two", "three"]
        assert fake.requests[-1].prefix == "b = 1\n\n\na = 1\n\n\n"
        assert uri("new") not in wire.server.state.documents
        change(wire, 4, data=[cell("a", PROSE)])
        await wire.inline(0, 0, uri=uri("b"))
        assert (fake.requests[-1].prefix, fake.requests[-1].suffix) == ("", "b = 1\n\n\nc")


async def test_cells_of_another_language_are_not_part_of_it():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        open_notebook(wire, ("a", "a = 1"), ("b", "b"))
        added = {"start": 0, "deleteCount": 0, "cells": [cell("sql")]}
        change(wire, structure={"array": added, "didOpen": [text("sql", "select 1", "sql")]})
        await wire.inline(0, 1, uri=uri("b"))
        assert fake.requests[0].prefix == "a = 1\n\n\nb"


async def test_a_notebook_that_is_closed_is_forgotten_with_its_cells():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        open_notebook(wire, ("a", "!slow"), ("b", "b"))
        _, answer = wire.ask_inline(0, 5, uri=uri("a"))
        await wire.until(fake.started.is_set)
        closed = {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": [{"uri": uri("a")}]}
        wire.notify("notebookDocument/didClose", closed)
        assert (await answer)["items"] == []
        assert await wire.inline(0, 1, uri=uri("b")) == []
        state = wire.server.state
        assert state.documents == {}
        assert state.notebooks.get(NOTEBOOK) is None
        assert state.notebooks.of_cell(uri("a")) is None


async def test_a_notebook_that_is_not_open_is_not_changed_and_the_server_lives(caplog):
    async with connected() as wire:
        change(wire, structure={"array": {"start": 0, "deleteCount": 1}})
        wire.notify("notebookDocument/didClose", {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": []})
        open_notebook(wire, ("a", "x"))
        wire.notify("notebookDocument/didChange", {"notebookDocument": {"uri": NOTEBOOK, "version": 3}, "change": {}})
        change(wire, 4, structure={"array": {"start": 7, "deleteCount": 9}})
        assert await wire.inline(0, 1, uri=uri("a")) != []
    assert "a notebook that is not open was changed" in caplog.text


async def test_a_notebook_that_is_excluded_is_not_read(tmp_path):
    fake = FakeCompleter()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.ipynb\n")
    async with connected(fake, configuration={"crossFileContext": True}) as wire:
        open_notebook(wire, ("a", "x"), notebook=(tmp_path / "a.ipynb").as_uri())
        assert await wire.inline(0, 1, uri=uri("a")) == []
        wire.open("y", "file:///project/b.py")
        await wire.inline(0, 1, uri="file:///project/b.py")
        assert not fake.requests[0].extra_context
