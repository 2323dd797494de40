"""``midtoken/didFocus``: a client shows a document, and says where the cursor is.

The protocol has no such method. For a client that does not send it, the user is taken to be in the document opened
last.
"""

from lsp_server.completion.answer import read_around
from lsp_server.documents.positions import index_of
from lsp_server.features.configuration import READING_FAILED
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.values import AskedCompletion


def did_focus(ls: MidtokenServer, shown: AskedCompletion) -> None:
    """Read the context that the first request at that place would need."""
    document = ls.state.documents.get(shown.uri)
    if document is not None:
        focus_on(ls, document.uri, index_of(document, shown.position, ls.state.client.encoding))


def focus_on(ls: MidtokenServer, uri: str, offset: int) -> None:
    """Record that the user is at this character of a document, and read ahead there."""
    ls.state.focus = (uri, offset)
    if ls.state.settings.read_ahead:
        ls.start(read_around(ls), READING_FAILED)
