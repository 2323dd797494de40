"""Completions as the protocol's items, and the place in the document that they replace."""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from lsprotocol import types

from engine import Completion, is_word_character
from lsp_server.acceptance import ACCEPT
from lsp_server.completion.prompt import Place
from lsp_server.documents.documents import Document
from lsp_server.documents.line_endings import to_document
from lsp_server.documents.positions import PositionEncoding, range_of, span_of
from lsp_server.state import Client

Note: TypeAlias = Callable[[str], str]
"""Records that an item with this text was offered. Returns the id that the client uses for it."""


MAX_WORD = 256
"""A longer run of word characters is data, not a word. Items there replace nothing."""


def place_at(document: Document, cursor: int) -> Place:
    """The word that ends at the cursor.

    Clients show an item only if it starts with the text that it replaces, and they filter by whole words. So an item
    starts with the word.
    """
    line_start, _ = document.line_span(document.line_at(cursor))
    start = cursor
    while start > line_start and cursor - start <= MAX_WORD and is_word_character(document.text[start - 1]):
        start -= 1
    if cursor - start > MAX_WORD:
        start = cursor
    return Place(start, cursor, document.text[start:cursor])


def place_of_selected(
    document: Document, cursor: int, selected: types.SelectedCompletionInfo, encoding: PositionEncoding
) -> Place | None:
    """The place of the item selected in the client's list, which ghost text must extend; None if it is nonsense.

    A range is nonsense if it spans more than one line, or if the cursor is not in it.
    """
    start, end = span_of(document, selected.range, encoding)
    if not start <= cursor <= end or document.line_at(start) != document.line_at(end):
        return None
    return Place(start, end, selected.text)


def inline_items(
    document: Document,
    place: Place,
    completions: Sequence[Completion],
    client: Client,
    note: Note,
) -> list[types.InlineCompletionItem]:
    """Items of ``textDocument/inlineCompletion``, best first."""
    span = range_of(document, place.start, place.end, client.encoding)
    return [
        types.InlineCompletionItem(client.insertable(text), range=span, command=_accepting(note(text)))
        for text in _inserted(document, place, completions)
    ]


def list_items(
    document: Document,
    place: Place,
    completions: Sequence[Completion],
    client: Client,
    note: Note,
) -> list[types.CompletionItem]:
    """Items of ``textDocument/completion``, best first, with commands for clients that can run them."""
    span = range_of(document, place.start, place.end, client.encoding)
    items: list[types.CompletionItem] = []
    for text in _inserted(document, place, completions):
        if not text.strip():
            continue
        number = note(text)
        items.append(
            types.CompletionItem(
                label=_label(text),
                kind=types.CompletionItemKind.Text,
                detail="Midtoken",
                sort_text=f"{len(items):04d}",
                filter_text=text.splitlines()[0] or None,
                text_edit=types.TextEdit(span, client.insertable(text)),
                insert_text_format=types.InsertTextFormat.PlainText,
                # The text is already indented for its place, so a client must not indent it again.
                insert_text_mode=types.InsertTextMode.AsIs,
                command=_accepting(number) if client.commands else None,
                data=number,
            )
        )
    return items


def preview(text: str, language: str, *, markdown: bool) -> str:
    """The text of an item, as a preview in the list. Its fence is longer than any fence in the text."""
    if not markdown:
        return text
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _accepting(number: str) -> types.Command:
    return types.Command(title="Midtoken: accepted", command=ACCEPT, arguments=[number])


def _inserted(document: Document, place: Place, completions: Sequence[Completion]) -> list[str]:
    """The whole texts of the items, without those that add nothing or are equal to a better one."""
    line_break = document.line_break_near(document.line_at(place.start))
    seen: set[str] = set()
    texts: list[str] = []
    for completion in completions:
        looks = completion.text.rstrip()
        if completion.text and looks not in seen:
            seen.add(looks)
            texts.append(place.typed + to_document(completion.text, line_break))
    return texts


def _label(text: str) -> str:
    """The first line that shows something, with a mark if more follows."""
    first, *rest = text.strip().splitlines()
    return f"{first} …" if rest else first
