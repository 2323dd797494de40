"""``textDocument/inlineCompletion``: ghost text."""

from dataclasses import replace

from lsprotocol import types

from lsp_server.completion.answer import answer, document_of, noting
from lsp_server.completion.items import inline_items, place_at, place_of_selected
from lsp_server.completion.jobs import EditorRequest
from lsp_server.completion.prompt import Place
from lsp_server.documents.positions import index_of
from lsp_server.language_server import MidtokenServer
from lsp_server.messages.values import AskedCompletion

INVOKED_CANDIDATES = 3
"""Number of candidates for a request made by hand, to choose from. While typing, only one is shown."""


async def inline_completion(ls: MidtokenServer, asked: AskedCompletion) -> types.InlineCompletionList:
    """Answer with items for the cursor, or for the item selected in the client's list."""
    client = ls.state.client
    document = document_of(ls, asked.uri)
    if document is None:
        return types.InlineCompletionList([])
    cursor = index_of(document, asked.position, client.encoding)
    selected = asked.selected
    place = place_of_selected(document, cursor, selected, client.encoding) if selected else place_at(document, cursor)
    if place is None:
        return types.InlineCompletionList([])
    automatic = not ls.state.is_invoked(asked.trigger_kind)
    candidates = 1 if automatic else INVOKED_CANDIDATES
    request = EditorRequest("inline", document, place, candidates, automatic)
    completions = await answer(ls, request)
    if selected and not completions and place.end == cursor:
        # Nothing continues the selected item. If the item is what would be suggested without the list, the item itself
        # is offered. Otherwise ghost text would vanish when the list opens.
        place = Place(place.start, cursor, document.text[place.start : cursor])
        request = replace(request, place=place)
        completions = tuple(
            completion for completion in await answer(ls, request) if place.typed + completion.text == selected.text
        )
    items = inline_items(document, place, completions, client, noting(ls, request))
    ls.state.statistics.shown += bool(items) and not ls.state.reports_shown
    return types.InlineCompletionList(items)
