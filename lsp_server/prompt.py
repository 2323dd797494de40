"""From a place in a document to the engine's request."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine import CompletionRequest, HealingParams, SamplingParams, StopParams
from lsp_server.documents import Document
from lsp_server.line_endings import to_engine
from lsp_server.selection import is_selected
from lsp_server.settings import Settings

CONTEXT_CHARACTERS = 8000
"""Text of other documents that goes along with ``crossFileContext``, in all."""
CONTEXT_PER_DOCUMENT = 3000


@dataclass(frozen=True, slots=True)
class Place:
    """What a completion replaces: the characters ``start`` to ``end`` of the document, which it opens with ``typed``.

    Without a selected list item ``typed`` is the word before the cursor and stands there already. With one it is the
    item's text, and the model completes the document as if that had been accepted.
    """

    start: int
    end: int
    typed: str


def build_request(
    document: Document, place: Place, settings: Settings, others: Iterable[Document], candidates: int, budget_ms: float
) -> CompletionRequest:
    """The engine's request for a completion at a place. Copies the text, so it runs on the model thread."""
    return CompletionRequest(
        prefix=to_engine(document.text[: place.start] + place.typed),
        suffix=to_engine(document.text[place.end :]),
        language=document.language or None,
        extra_context=_context(document, others, settings) if settings.cross_file_context else "",
        max_completions=candidates,
        budget_ms=budget_ms,
        healing=HealingParams(mode=settings.healing, max_surprise_bits=settings.max_surprise_bits),
        sampling=_sampling(settings),
        stop=StopParams(max_new_tokens=settings.max_new_tokens, lines="multi" if settings.multi_line else "single"),
    )


def _sampling(settings: Settings) -> SamplingParams:
    """Temperature and top-p belong to strategies that draw; with another one they are left over, not wrong."""
    params = SamplingParams(strategy=settings.strategy)
    return replace(params, temperature=settings.temperature, top_p=settings.top_p) if params.draws else params


def _context(document: Document, others: Iterable[Document], settings: Settings) -> str:
    """The beginnings of other open documents in the same language, given most recently changed first, used last."""
    parts: list[str] = []
    left = CONTEXT_CHARACTERS
    for other in others:
        if other.uri == document.uri or other.language != document.language or not is_selected(other, settings):
            continue
        text = other.text[: min(left, CONTEXT_PER_DOCUMENT)]
        if len(text) < len(other.text):
            text = text[: text.rfind("\n") + 1]
        if text.strip():
            parts.append(to_engine(text).rstrip("\n") + "\n\n")
            left -= len(text)
        if left <= 0:
            break
    return "".join(reversed(parts))
