"""``textDocument/didOpen``, ``didChange`` and ``didClose``: keep our documents equal to the client's."""

import logging
from collections.abc import Sequence

from lsprotocol import types

from lsp_server.documents.changes import apply_changes
from lsp_server.documents.documents import Document
from lsp_server.language_server import MidtokenServer
from lsp_server.session import Session

log = logging.getLogger(__name__)


def did_open(ls: MidtokenServer, params: types.DidOpenTextDocumentParams) -> None:
    """Keep the document."""
    open_document(ls.session, params.text_document)


def did_change(ls: MidtokenServer, params: types.DidChangeTextDocumentParams) -> None:
    """Keep the document's next version."""
    take_changes(ls.session, params.text_document, params.content_changes)


def open_document(session: Session, opened: types.TextDocumentItem) -> None:
    """Keep a document of the client, which may be a cell of a notebook."""
    session.put(Document.create(opened.uri, str(opened.language_id), opened.version, opened.text))


def take_changes(
    session: Session,
    changed: types.VersionedTextDocumentIdentifier,
    changes: Sequence[types.TextDocumentContentChangeEvent],
) -> None:
    """Keep a document's next version. Requests about the last one go on: a client may still show their answer."""
    document = session.documents.get(changed.uri)
    if document is None and changed.uri in session.left_out:
        if all(isinstance(change, types.TextDocumentContentChangePartial) for change in changes):
            return  # nobody knows what they change; its whole text would bring it back
        document = Document.create(changed.uri, session.left_out[changed.uri], 0, "")
    if document is None:
        log.warning("a document that is not open was changed; the change is ignored")
        return
    session.put(apply_changes(document, changes, changed.version, session.client.encoding))


def did_close(ls: MidtokenServer, params: types.DidCloseTextDocumentParams) -> None:
    """Forget the document."""
    ls.session.remove(params.text_document.uri)
