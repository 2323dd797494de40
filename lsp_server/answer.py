"""One completion from a question to the engine's candidates: the part that both kinds of completion share."""

import asyncio
import logging
import time
from dataclasses import dataclass

from engine import CancellationToken, Completion, CompletionResult
from lsp_server.documents import Document
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.prompt import Place, build_request
from lsp_server.scheduler import RequestKind, Ticket
from lsp_server.selection import is_selected
from lsp_server.type_through import surroundings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What a client wants completed: a place in one version of a document, and how many candidates at most."""

    kind: RequestKind
    document: Document
    place: Place
    candidates: int
    automatic: bool


def document_of(server: MidtokenServer, uri: str) -> Document | None:
    """The open document that a request speaks of; None, with a log line, if there is none."""
    document = server.session.documents.get(uri)
    if document is None:
        log.warning("a completion was asked for in a document that is not open; it is empty")
    return document


async def answer(server: MidtokenServer, question: Question) -> tuple[Completion, ...]:
    """The candidates, best first; none where anything stands against it. Raises only `asyncio.CancelledError`."""
    session, document = server.session, question.document
    session.statistics.requests += 1
    others = session.others(document.uri)
    arrived = time.monotonic()
    if not session.enabled or not await session.configured_within(session.settings.budget_ms / 1000):
        return ()
    settings = session.settings
    if not is_selected(document, settings):
        return ()

    where = surroundings(
        document.uri,
        settings,
        question.candidates,
        document.text[: question.place.start] + question.place.typed,
        document.text[question.place.end :],
    )
    ticket = Ticket(document.uri, document.version, question.kind)
    if known := session.shown.look_up(where):
        session.scheduler.supersede(ticket)
        session.statistics.answered((time.monotonic() - arrived) * 1000, by_model=False)
        server.trace(f"{question.kind}: {len(known)} candidates, shown before")
        return known

    def left_ms() -> float:
        return settings.budget_ms - (time.monotonic() - arrived) * 1000

    def work(token: CancellationToken) -> CompletionResult | None:
        budget_ms = left_ms()
        if budget_ms <= 0:
            return None
        request = build_request(document, question.place, settings, others, question.candidates, budget_ms)
        token.raise_if_cancelled()
        return session.model.complete(request, token)

    try:
        result = await session.scheduler.run(
            ticket,
            work,
            delay_s=settings.debounce_ms / 1000 if question.automatic else 0.0,
            ready=lambda: session.model.wait(left_ms() / 1000),
        )
    except asyncio.CancelledError:
        session.statistics.cancelled += 1
        raise
    except Exception as error:  # whatever broke, the editor gets an empty list and the server lives
        log.warning("a completion failed: %s", describe(error))
        session.statistics.failed += 1
        server.note_failure(describe(error))
        return ()
    took_ms = (time.monotonic() - arrived) * 1000
    session.statistics.ran(took_ms, result is not None, in_time=left_ms() > 0)
    completions: tuple[Completion, ...] = ()
    if result is not None:
        completions = result.completions
        server.note_failure(None)
    session.shown.remember(where, completions)
    server.trace(_line(question, result, took_ms, settings.trace == "verbose"))
    return completions


def _line(question: Question, result: CompletionResult | None, took_ms: float, verbose: bool) -> str:
    """A line for the trace: figures only, never what is in the document."""
    if result is None:
        return f"{question.kind}: superseded, out of time or without a model after {took_ms:.0f} ms"
    line = f"{question.kind}: {len(result.completions)} candidates in {took_ms:.0f} ms"
    if not verbose:
        return line
    timing = result.timing
    return (
        f"{line} (tokenize {timing.tokenize_ms:.1f}, heal {timing.heal_ms:.1f}, prefill {timing.prefill_ms:.1f},"
        f" decode {timing.decode_ms:.1f} ms; {result.reused_tokens} of {result.prompt_tokens} prompt tokens reused)"
    )
