"""``textDocument/didOpen``, ``didChange`` and ``didClose``: keep our documents equal to the client's."""

import logging

from lsprotocol import types

from lsp_server.documents.changes import apply_changes
from lsp_server.documents.documents import Document
from lsp_server.features.focus import focus_on
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.values import Change, ChangedDocument, OpenedDocument
from lsp_server.state import ServerState

log = logging.getLogger(__name__)


def did_open(ls: MidtokenServer, opened: OpenedDocument) -> None:
    """Store the document, and let the model read it: the beginning of the prompt is the same for all places."""
    open_document(ls.state, opened)
    document = ls.state.documents.get(opened.uri)
    if document is not None:
        focus_on(ls, document.uri, len(document.text))


def did_change(ls: MidtokenServer, changed: ChangedDocument) -> None:
    """Store the document's next version."""
    take_changes(ls.state, changed)


def open_document(state: ServerState, opened: OpenedDocument) -> None:
    """Store a document of the client, which may be a cell of a notebook."""
    if opened.text is None:
        state.lose(opened.uri, opened.language, "a document was opened without a text that can be read")
        return
    state.put(Document.create(opened.uri, opened.language, opened.version or 0, opened.text))


def take_changes(state: ServerState, changed: ChangedDocument) -> None:
    """Store a document's next version. Requests for the previous version continue, because a client may still show
    their answers.

    After a change that cannot be read, the text is unknown until the whole text is sent.
    """
    document = state.documents.get(changed.uri)
    if document is None and changed.uri not in state.left_out:
        log.warning("a document that is not open was changed; the change is ignored")
        return
    whole, changes = _from_whole_text(changed.changes)
    if document is None:
        if not whole:
            return  # its text is unknown until the whole text is sent
        document = Document.create(changed.uri, state.left_out[changed.uri], 0, "")
    if None in changes:
        state.lose(changed.uri, document.language, "a change of a document cannot be read")
        return
    readable = [change for change in changes if change is not None]
    state.put(apply_changes(document, readable, _version_after(document, changed.version), state.client.encoding))


def _from_whole_text(changes: tuple[Change, ...]) -> tuple[bool, tuple[Change, ...]]:
    """Whether one of the changes is a whole text, and the changes from the last such change on (or all of them)."""
    for at in range(len(changes) - 1, -1, -1):
        if isinstance(changes[at], types.TextDocumentContentChangeWholeDocument):
            return True, changes[at:]
    return False, changes


def _version_after(document: Document, said: int | None) -> int:
    """The client's version number if it is later than ours. For clients that do not count, we count."""
    return document.version + 1 if said is None or said <= document.version else said


def did_close(ls: MidtokenServer, uri: str) -> None:
    """Forget the document."""
    ls.state.remove(uri)
