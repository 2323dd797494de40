"""``notebookDocument/didOpen``, ``didChange`` and ``didClose``: cells are documents, in the order of their notebook."""

import logging

from lsp_server.documents.notebooks import Notebook
from lsp_server.features.text_document import open_document, take_changes
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.values import ChangedNotebook, ClosedNotebook, OpenedNotebook, Splice
from lsp_server.state import ServerState

log = logging.getLogger(__name__)


def did_open(ls: MidtokenServer, opened: OpenedNotebook) -> None:
    """Keep the notebook and the documents of its cells."""
    ls.state.notebooks.put(Notebook(opened.uri, opened.cells))
    for document in opened.documents:
        open_document(ls.state, document)


def did_change(ls: MidtokenServer, changed: ChangedNotebook) -> None:
    """Cells were added, removed, moved, became prose or code, or have a new text."""
    notebooks = ls.state.notebooks
    notebook = notebooks.get(changed.uri)
    if notebook is None:
        log.warning("a notebook that is not open was changed; its order is unknown")
    else:
        if changed.splice is not None:
            notebook = _spliced(notebook, changed.splice)
        notebooks.remove(changed.uri)
        if notebook is not None:
            notebooks.put(notebook.update(changed.kinds))
    _take_texts(ls.state, changed)


def did_close(ls: MidtokenServer, closed: ClosedNotebook) -> None:
    """Forget the notebook and its cells, including those that the client does not name."""
    notebook = ls.state.notebooks.remove(closed.uri)
    ours = [cell.uri for cell in notebook.cells] if notebook else []
    for uri in (*ours, *closed.cells):
        ls.state.remove(uri)


def _spliced(notebook: Notebook, splice: Splice) -> Notebook | None:
    """The notebook with the new cells in place of the removed ones; None if it is unclear where they go."""
    if splice.start is None:
        log.warning("a change of a notebook cannot be read; its cells stand for themselves until it is opened again")
        return None
    return notebook.splice(splice.start, splice.delete_count, splice.cells)


def _take_texts(state: ServerState, changed: ChangedNotebook) -> None:
    """Take the documents of cells that were added, removed or changed. Their order is not needed."""
    if changed.splice is not None:
        for uri in changed.splice.closed:
            state.remove(uri)
        for opened in changed.splice.opened:
            open_document(state, opened)
    for text in changed.texts:
        take_changes(state, text)
