"""Notebooks as an editor has them: cells are typed in, inserted, moved, deleted, made prose; in every encoding."""

import itertools

import pytest
import pytest_asyncio
from lsprotocol import types
from pytest_lsp import LanguageClient

from lsp_server.documents.positions import ENCODINGS, PositionEncoding
from tests.e2e.clients import FAKE_SERVER, Buffer, Model, run, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROSE, CODE = types.NotebookCellKind.Markup, types.NotebookCellKind.Code
_numbers = itertools.count(1)


class CellBuffer(Buffer):
    """A cell: opened with its notebook, and changed through it."""

    def __init__(self, notebook: "NotebookBuffer", text: str, kind: types.NotebookCellKind = CODE) -> None:
        self.notebook = notebook
        self.kind = kind
        language = "python" if kind == CODE else "markdown"
        uri = f"{notebook.uri}#cell{next(_numbers)}"
        super().__init__(notebook.client, text, encoding=notebook.encoding, uri=uri, language=language)

    @property
    def cell(self) -> types.NotebookCell:
        return types.NotebookCell(self.kind, self.uri)

    def _open(self) -> None:
        """Done by the notebook."""

    def _send(self, change: types.TextDocumentContentChangeEvent) -> None:
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri)
        content = types.NotebookDocumentCellContentChanges(document, [change])
        self.notebook.change(types.NotebookDocumentCellChanges(text_content=[content]))


class NotebookBuffer:
    """A notebook in an editor."""

    def __init__(self, client: LanguageClient, encoding: PositionEncoding, *texts: str) -> None:
        self.client = client
        self.encoding = encoding
        self.uri = f"file:///project/notebook{next(_numbers)}.ipynb"
        self.version = 1
        self.cells = [CellBuffer(self, text) for text in texts]
        document = types.NotebookDocument(self.uri, "jupyter-notebook", self.version, [c.cell for c in self.cells])
        items = [cell.item for cell in self.cells]
        client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(document, items))

    def change(self, cells: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        document = types.VersionedNotebookDocumentIdentifier(self.version, self.uri)
        change = types.NotebookDocumentChangeEvent(cells=cells)
        self.client.notebook_document_did_change(types.DidChangeNotebookDocumentParams(document, change))

    def insert(self, at: int, text: str) -> CellBuffer:
        cell = CellBuffer(self, text)
        self._splice(at, 0, [cell.cell], opened=[cell.item])
        self.cells.insert(at, cell)
        return cell

    def delete(self, at: int) -> None:
        closed = types.TextDocumentIdentifier(self.cells.pop(at).uri)
        self._splice(at, 1, [], closed=[closed])

    def move(self, source: int, target: int) -> None:
        """Remove a cell and insert it elsewhere; its document stays open."""
        cell = self.cells.pop(source)
        self._splice(source, 1, [])
        self.cells.insert(target, cell)
        self._splice(target, 0, [cell.cell])

    def make(self, cell: CellBuffer, kind: types.NotebookCellKind) -> None:
        cell.kind = kind
        self.change(types.NotebookDocumentCellChanges(data=[cell.cell]))

    def close(self) -> None:
        documents = [types.TextDocumentIdentifier(cell.uri) for cell in self.cells]
        notebook = types.NotebookDocumentIdentifier(self.uri)
        self.client.notebook_document_did_close(types.DidCloseNotebookDocumentParams(notebook, documents))

    def _splice(
        self,
        start: int,
        count: int,
        cells: list[types.NotebookCell],
        opened: list[types.TextDocumentItem] | None = None,
        closed: list[types.TextDocumentIdentifier] | None = None,
    ) -> None:
        array = types.NotebookCellArrayChange(start=start, delete_count=count, cells=cells)
        structure = types.NotebookDocumentCellChangeStructure(array, did_open=opened, did_close=closed)
        self.change(types.NotebookDocumentCellChanges(structure=structure))


@pytest_asyncio.fixture(params=ENCODINGS, scope="module", loop_scope="module")
async def place(request, tmp_path_factory):
    """A server for each encoding: how to open a notebook there, and what its model is asked."""
    model = Model(tmp_path_factory.mktemp(request.param))
    async with serving(FAKE_SERVER, encoding=request.param, env=model.env) as client:
        yield lambda *texts: NotebookBuffer(client, request.param, *texts), model


def asked(model: Model) -> tuple[str, str]:
    call = model.calls[-1]
    return call["prefix"], call["suffix"]


async def test_typing_in_a_cell_is_typing_between_the_others(place):
    open_notebook, model = place
    notebook = open_notebook("import os\r\n", 's = "😀"\r\nx', "print(s)")
    cell = notebook.cells[1]
    [item] = await cell.items()
    prefix, suffix = asked(model)
    assert prefix.startswith("import os\n")
    assert prefix.endswith('s = "😀"\nx')
    assert suffix.endswith("print(s)")
    await cell.accept(item)
    cell.type("é😀 = y")
    assert await cell.texts() == ["yone"]
    assert asked(model)[0].endswith('s = "😀"\nxoneé😀 = y')


async def test_cells_come_go_and_move(place):
    open_notebook, model = place
    notebook = open_notebook("a = 1", "b = x")
    await notebook.cells[1].items()
    assert asked(model)[0].endswith("b = x")
    inserted = notebook.insert(1, "c = 3")
    notebook.cells[2].type("y")
    await notebook.cells[2].items()
    assert [line for line in asked(model)[0].splitlines() if line] == ["a = 1", "c = 3", "b = xy"]
    notebook.move(1, 2)
    notebook.cells[1].type("z")
    await notebook.cells[1].items()
    prefix, suffix = asked(model)
    assert [line for line in prefix.splitlines() if line] == ["a = 1", "b = xyz"]
    assert "c = 3" in suffix
    notebook.delete(2)
    assert await inserted.texts() == []
    notebook.cells[1].replace(4, 7, "other")
    assert await notebook.cells[1].texts() == ["otherone"]
    assert "c = 3" not in "".join(asked(model))


async def test_a_cell_that_becomes_prose_is_no_code_of_the_others(place):
    open_notebook, model = place
    notebook = open_notebook("words = 1", "value = x")
    notebook.make(notebook.cells[0], PROSE)
    await notebook.cells[1].items()
    assert asked(model)[0] == "value = x"
    notebook.make(notebook.cells[0], CODE)
    notebook.cells[1].type("y")
    await notebook.cells[1].items()
    assert "words = 1" in asked(model)[0]


async def test_two_notebooks_do_not_mix_and_leave_nothing(place):
    open_notebook, model = place
    one, other = open_notebook("first = 1", "a = x"), open_notebook("second = 2", "b = x")
    await one.cells[1].items()
    assert "second" not in asked(model)[0]
    await other.cells[1].items()
    assert "first" not in asked(model)[0]
    held = (await run(one.client, "midtoken.server.statistics"))["memory"]["documents"]
    one.close()
    other.close()
    assert await one.cells[1].texts() == []
    left = (await run(one.client, "midtoken.server.statistics"))["memory"]["documents"]
    assert left == held - 4


async def test_changes_of_a_notebook_that_is_not_open_are_ignored(place):
    open_notebook, _ = place
    notebook = open_notebook("x")
    notebook.close()
    notebook.insert(0, "y")
    notebook.cells[1].type("z")
    assert await notebook.cells[1].texts() == []
    assert await open_notebook("x").cells[0].texts() == ["xone"]
