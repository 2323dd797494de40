"""``textDocument/completion``: the classic list, for clients without ghost text."""

from lsprotocol import types

from lsp_server.answer import Question, answer, document_of
from lsp_server.features.commands import accepting
from lsp_server.items import list_items, no_command, place_at
from lsp_server.language_server import MidtokenServer
from lsp_server.positions import index_of

CANDIDATES = 3


async def completion(ls: MidtokenServer, params: types.CompletionParams) -> types.CompletionList:
    """Answer with items for the cursor.

    Always marked incomplete, so that the client asks again as the user types instead of filtering guesses that were
    made for less text. The protocol does not tell typing from asking, so all requests wait as those of typing do.
    """
    encoding = ls.session.client.encoding
    document = document_of(ls, params.text_document.uri)
    if document is None:
        return types.CompletionList(is_incomplete=True, items=[])
    place = place_at(document, index_of(document, params.position, encoding))
    completions = await answer(ls, Question("list", document, place, CANDIDATES, automatic=True))
    on_accept = accepting(ls, document, place, is_ghost_text=False) if ls.session.client.commands else no_command
    items = list_items(document, place, completions, encoding, on_accept)
    return types.CompletionList(is_incomplete=True, items=items)
