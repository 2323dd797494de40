"""Open notebooks: the order of their cells. The texts of cells are documents like any other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lsp_server.documents.documents import Document


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, identified by the URI of its document. A cell that is not code is prose and not part of the program."""

    uri: str
    is_code: bool


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook's cells from the first to the last."""

    uri: str
    cells: tuple[Cell, ...]

    def splice(self, start: int, delete_count: int, cells: Sequence[Cell]) -> "Notebook":
        """The notebook with ``cells`` in place of ``delete_count`` cells from ``start`` on. Indices outside the
        notebook are clipped.
        """
        return replace(self, cells=(*self.cells[:start], *cells, *self.cells[start + delete_count :]))

    def update(self, changed: Sequence[Cell]) -> "Notebook":
        """The notebook with the kinds of the cells in ``changed``, whose order does not matter."""
        kinds = {cell.uri: cell for cell in changed}
        return replace(self, cells=tuple(kinds.get(cell.uri, cell) for cell in self.cells))

    def code_around(self, uri: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The URIs of the code cells before and after a cell."""
        at = next((number for number, cell in enumerate(self.cells) if cell.uri == uri), len(self.cells))
        before, after = self.cells[:at], self.cells[at + 1 :]
        return tuple(c.uri for c in before if c.is_code), tuple(c.uri for c in after if c.is_code)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The documents around one: for a cell of a notebook the code cells of its language before and after it, and the
    others of its language that are open, most recently changed first.
    """

    before: tuple[Document, ...] = ()
    after: tuple[Document, ...] = ()
    others: tuple[Document, ...] = ()


class Notebooks:
    """The notebooks that are open."""

    def __init__(self) -> None:
        self._open: dict[str, Notebook] = {}
        self._of_cell: dict[str, str] = {}

    def put(self, notebook: Notebook) -> None:
        """Store a notebook that was opened or changed."""
        self.remove(notebook.uri)
        self._open[notebook.uri] = notebook
        self._of_cell.update(dict.fromkeys((cell.uri for cell in notebook.cells), notebook.uri))

    def remove(self, uri: str) -> Notebook | None:
        """Remove a closed notebook and return it; None if it was not open."""
        notebook = self._open.pop(uri, None)
        for cell in notebook.cells if notebook else ():
            self._of_cell.pop(cell.uri, None)
        return notebook

    def get(self, uri: str) -> Notebook | None:
        """An open notebook."""
        return self._open.get(uri)

    def of_cell(self, uri: str) -> Notebook | None:
        """The notebook that a document is a cell of."""
        return self._open.get(self._of_cell.get(uri, ""))
