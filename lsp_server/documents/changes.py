"""Content changes of ``textDocument/didChange``, applied to a document."""

from collections.abc import Sequence

from lsprotocol import types

from lsp_server.documents.documents import Document
from lsp_server.documents.positions import PositionEncoding, span_of

BATCH_FROM = 16
"""Fewer changes than this are cheaper one at a time than with a new scan for line breaks."""


def apply_changes(
    document: Document,
    changes: Sequence[types.TextDocumentContentChangeEvent],
    version: int,
    encoding: PositionEncoding,
) -> Document:
    """The document after the changes. Each change applies to the text after the one before it."""
    if len(changes) >= BATCH_FROM and (edits := _backward_edits(document, changes, encoding)) is not None:
        return document.edit_backwards(edits, version)
    for change in changes:
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = span_of(document, change.range, encoding)
            document = document.edit(start, end, change.text, version)
        else:
            document = Document.create(document.uri, document.language, version, change.text)
    return document


def _backward_edits(
    document: Document, changes: Sequence[types.TextDocumentContentChangeEvent], encoding: PositionEncoding
) -> list[tuple[int, int, str]] | None:
    """The changes as edits of the present text; None unless each change ends before the start of the previous one.

    It must end at least one character before. Then no earlier edit has changed the text that determines its positions,
    not even a line break that an edit directly after it might join or split.
    """
    edits: list[tuple[int, int, str]] = []
    upper = len(document.text) + 1
    for change in changes:
        if not isinstance(change, types.TextDocumentContentChangePartial):
            return None
        start, end = span_of(document, change.range, encoding)
        if end >= upper:
            return None
        edits.append((start, end, change.text))
        upper = start
    return edits
