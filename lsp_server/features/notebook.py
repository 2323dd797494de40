"""``notebookDocument/didOpen``, ``didChange`` and ``didClose``: cells are documents, in the order of their notebook."""

import logging
from collections.abc import Sequence

from lsprotocol import types

from lsp_server.documents.notebooks import Cell, Notebook
from lsp_server.features.text_document import open_document, take_changes
from lsp_server.language_server import MidtokenServer

log = logging.getLogger(__name__)


def did_open(ls: MidtokenServer, params: types.DidOpenNotebookDocumentParams) -> None:
    """Keep the notebook and the documents of its cells."""
    opened = params.notebook_document
    ls.session.notebooks.put(Notebook(opened.uri, _cells(opened.cells)))
    for document in params.cell_text_documents:
        open_document(ls.session, document)


def did_change(ls: MidtokenServer, params: types.DidChangeNotebookDocumentParams) -> None:
    """Cells came, went, moved, became prose or code, or have another text."""
    notebooks, changes = ls.session.notebooks, params.change.cells
    notebook = notebooks.get(params.notebook_document.uri)
    if notebook is None:
        log.warning("a notebook that is not open was changed; the change is ignored")
        return
    if changes is None:
        return
    if changes.structure is not None:
        array = changes.structure.array
        notebook = notebook.splice(array.start, array.delete_count, _cells(array.cells or ()))
        for closed in changes.structure.did_close or ():
            ls.session.remove(closed.uri)
        for opened in changes.structure.did_open or ():
            open_document(ls.session, opened)
    notebooks.put(notebook.update(_cells(changes.data or ())))
    for content in changes.text_content or ():
        take_changes(ls.session, content.document, content.changes)


def did_close(ls: MidtokenServer, params: types.DidCloseNotebookDocumentParams) -> None:
    """Forget the notebook and its cells, those too that the client does not name."""
    notebook = ls.session.notebooks.remove(params.notebook_document.uri)
    ours = [cell.uri for cell in notebook.cells] if notebook else []
    for uri in (*ours, *(document.uri for document in params.cell_text_documents)):
        ls.session.remove(uri)


def _cells(cells: Sequence[types.NotebookCell]) -> tuple[Cell, ...]:
    return tuple(Cell(cell.document, cell.kind == types.NotebookCellKind.Code) for cell in cells)
