"""From a place in a document to the engine's request."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine import (
    CompletionRequest,
    HealingParams,
    LineMode,
    SamplingParams,
    StopParams,
)
from lsp_server.code.confidence import least_confidence
from lsp_server.code.known_names import Expected, expected_names
from lsp_server.code.line_mode import lines_wanted
from lsp_server.code.scanner import State, scan
from lsp_server.code.syntax import Syntax, syntax_of
from lsp_server.context.cross_file import Extra
from lsp_server.documents.documents import Document
from lsp_server.documents.line_endings import to_engine
from lsp_server.documents.notebooks import Neighbours
from lsp_server.files.repositories import named_file
from lsp_server.settings import Settings

CELL_BREAK = "\n\n\n"
"""Text between the cells of a notebook: two blank lines, as between definitions."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a completion replaces: the characters ``start`` to ``end`` of the document. Its text begins with ``typed``.

    Without a selected list item, ``typed`` is the word before the cursor, which is there already. With one, it is the
    item's text, and the model completes the document as if the item had been accepted.
    """

    start: int
    end: int
    typed: str


@dataclass(frozen=True, slots=True)
class Code:
    """What the model and the filters read: the text around the cursor in the engine's form, and what is open there.

    ``elsewhere`` are the names in other open documents.
    """

    prefix: str
    suffix: str
    syntax: Syntax
    state: State
    elsewhere: tuple[frozenset[str], ...] = ()

    @property
    def expected(self) -> Expected:
        """The names that the word at the cursor may become."""
        return expected_names(self.prefix, self.suffix, self.syntax, self.state, self.elsewhere)


def code_at(
    document: Document, place: Place, around: Neighbours | None = None, checkpoint: Callable[[], None] = lambda: None
) -> Code:
    """The code at a place; around it that of other cells, if the document is a cell of a notebook.

    It copies and scans the text, so it runs on the model's thread. ``checkpoint`` may raise to stop it.
    """
    around = around or Neighbours()
    own, rest = to_engine(document.text[: place.start] + place.typed), to_engine(document.text[place.end :])
    prefix = (
        "".join([to_engine(cell.text).rstrip("\n") + CELL_BREAK for cell in around.before if cell.text.strip()]) + own
    )
    suffix = rest + "".join(
        [CELL_BREAK + to_engine(cell.text).strip("\n") for cell in around.after if cell.text.strip()]
    )
    syntax = syntax_of(document.language)
    return Code(prefix, suffix, syntax, scan(prefix, syntax, checkpoint))


def build_request(
    document: Document,
    code: Code,
    settings: Settings,
    extra: Extra,
    *,
    candidates: int,
    automatic: bool,
    budget_ms: float | None = None,
) -> CompletionRequest:
    """The engine's request for a completion of ``code`` in ``document``, with the extra context that the model may
    see.
    """
    file = named_file(document.uri)
    expected = code.expected
    return CompletionRequest(
        prefix=code.prefix,
        suffix=code.suffix,
        language=document.language or None,
        extra_context=extra.pieces,
        imports=extra.imports,
        words=expected.names,
        only_words=expected.is_all,
        path=file.path,
        repository=file.repository,
        max_completions=candidates,
        budget_ms=budget_ms,
        healing=HealingParams(mode=settings.healing, max_surprise_bits=settings.max_surprise_bits),
        sampling=_sampling(settings),
        stop=_stop(code, settings, automatic),
        speculation=settings.speculation,
    )


def _stop(code: Code, settings: Settings, automatic: bool) -> StopParams:
    lines: LineMode = "multi" if settings.multi_line else "single"
    if settings.multi_line == "auto":
        lines = lines_wanted(code.prefix, code.suffix, code.syntax, code.state)
    confidence = least_confidence(code.state, settings.min_confidence, automatic=automatic)
    return StopParams(max_new_tokens=settings.max_new_tokens, lines=lines, min_confidence=confidence)


def _sampling(settings: Settings) -> SamplingParams:
    """Temperature and top-p belong to strategies that draw. With another strategy these settings are ignored; that
    is not an error.
    """
    params = SamplingParams(strategy=settings.strategy)
    return replace(params, temperature=settings.temperature, top_p=settings.top_p) if params.draws else params
