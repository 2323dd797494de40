"""``textDocument/didOpen``, ``didChange`` and ``didClose``: keep our documents equal to the client's."""

import logging

from lsprotocol import types

from lsp_server.changes import apply_changes
from lsp_server.documents import Document
from lsp_server.language_server import MidtokenServer

log = logging.getLogger(__name__)


def did_open(ls: MidtokenServer, params: types.DidOpenTextDocumentParams) -> None:
    """Keep the document."""
    opened = params.text_document
    ls.session.put(Document.create(opened.uri, str(opened.language_id), opened.version, opened.text))


def did_change(ls: MidtokenServer, params: types.DidChangeTextDocumentParams) -> None:
    """Keep the document's next version. Requests about the last one go on: a client may still show their answer."""
    uri, changes = params.text_document.uri, params.content_changes
    document = ls.session.documents.get(uri)
    if document is None and uri in ls.session.left_out:
        if all(isinstance(change, types.TextDocumentContentChangePartial) for change in changes):
            return  # nobody knows what they change; its whole text would bring it back
        document = Document.create(uri, ls.session.left_out[uri], 0, "")
    if document is None:
        log.warning("a document that is not open was changed; the change is ignored")
        return
    version, encoding = params.text_document.version, ls.session.client.encoding
    ls.session.put(apply_changes(document, changes, version, encoding))


def did_close(ls: MidtokenServer, params: types.DidCloseTextDocumentParams) -> None:
    """Forget the document."""
    ls.session.remove(params.text_document.uri)
