"""Values from messages for which the library has no suitable type."""

from dataclasses import dataclass
from typing import TypeAlias

from lsprotocol import types

from lsp_server.documents.notebooks import Cell

Change: TypeAlias = types.TextDocumentContentChangeEvent | None
"""A change of a text; None for one that cannot be read. After it, the text is unknown."""


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document, or cell, that was opened; ``text`` is None if it cannot be read."""

    uri: str
    language: str
    version: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """A document, or cell, with a new text; ``version`` is None if it cannot be read."""

    uri: str
    version: int | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class OpenedNotebook:
    """A notebook that was opened, with its cells and their documents."""

    uri: str
    cells: tuple[Cell, ...]
    documents: tuple[OpenedDocument, ...]


@dataclass(frozen=True, slots=True)
class Splice:
    """Cells of a notebook that replaced others. ``start`` is None if it cannot be read. Then the order of the cells is
    no longer known.
    """

    start: int | None
    delete_count: int
    cells: tuple[Cell, ...]
    opened: tuple[OpenedDocument, ...]
    closed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangedNotebook:
    """What is new in a notebook: other cells, other kinds of cells, other texts in them."""

    uri: str
    splice: Splice | None
    kinds: tuple[Cell, ...]
    texts: tuple[ChangedDocument, ...]


@dataclass(frozen=True, slots=True)
class ClosedNotebook:
    """A notebook that was closed, with those of its cells that the client names."""

    uri: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskedCompletion:
    """A request for ghost text or for a list; ``trigger_kind`` is what the client sent, None if that is not a
    number.
    """

    uri: str
    position: types.Position
    trigger_kind: int | None = None
    selected: types.SelectedCompletionInfo | None = None
