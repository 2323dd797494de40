"""``textDocument/completion`` and ``completionItem/resolve``: the classic list, for clients without ghost text."""

from collections.abc import Mapping

from lsprotocol import types

from lsp_server.completion.answer import answer, document_of, noting
from lsp_server.completion.items import list_items, place_at, preview
from lsp_server.completion.jobs import EditorRequest
from lsp_server.documents.positions import index_of
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.fields import member
from lsp_server.messages.values import AskedCompletion

CANDIDATES = 3


async def completion(ls: MidtokenServer, asked: AskedCompletion) -> types.CompletionList:
    """Answer with items for the cursor.

    The list is always marked incomplete, so that the client asks again as the user types, instead of filtering guesses
    that were made for less text. The protocol does not distinguish typing from asking by hand, so all requests are
    debounced.
    """
    client = ls.state.client
    document = document_of(ls, asked.uri)
    if document is None:
        return types.CompletionList(is_incomplete=True, items=[])
    place = place_at(document, index_of(document, asked.position, client.encoding))
    request = EditorRequest("list", document, place, CANDIDATES, automatic=True)
    completions = await answer(ls, request)
    items = list_items(document, place, completions, client, noting(ls, request))
    return types.CompletionList(is_incomplete=True, items=items)


def resolve_item(ls: MidtokenServer, item: Mapping[str, object]) -> Mapping[str, object]:
    """Add the whole text of an item whose label shows only its first line; any other comes back as it is."""
    state, number = ls.state, member(item, "data")
    offer = state.ledger.find(number) if isinstance(number, str) else None
    document = state.documents.get(offer.uri) if offer else None
    if offer is None or document is None or len(offer.insert_text.splitlines()) < 2:
        return item
    markdown = state.client.markdown
    kind = types.MarkupKind.Markdown if markdown else types.MarkupKind.PlainText
    text = preview(state.client.insertable(offer.insert_text), document.language, markdown=markdown)
    return {**item, "documentation": {"kind": kind.value, "value": text}}
