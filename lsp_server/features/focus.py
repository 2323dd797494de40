"""``midtoken/didFocus``: a client shows a document, and says where the cursor is.

No method of the protocol does. Of a client that does not send it, a document that was opened last is where the user is.
"""

from lsp_server.completion.answer import read_around
from lsp_server.documents.positions import index_of
from lsp_server.features.configuration import READING_FAILED
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.values import AskedCompletion


def did_focus(ls: MidtokenServer, shown: AskedCompletion) -> None:
    """Read what the first request there would have to."""
    document = ls.state.documents.get(shown.uri)
    if document is not None:
        focus_on(ls, document.uri, index_of(document, shown.position, ls.state.client.encoding))


def focus_on(ls: MidtokenServer, uri: str, offset: int) -> None:
    """The user is at a character of a document now."""
    ls.state.focus = (uri, offset)
    if ls.state.settings.read_ahead:
        ls.start(read_around(ls), READING_FAILED)
