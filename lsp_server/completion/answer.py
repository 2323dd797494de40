"""One completion from a request to the engine's candidates: the part that both kinds of completion share."""

import asyncio
import logging
import math
import time
from dataclasses import replace

from engine import Completion, CompletionResult, DeviceError, ModelFolderError, can_stream
from lsp_server.acceptance import Offer
from lsp_server.completion.items import Note, place_at
from lsp_server.completion.jobs import CompletionJob, Deadline, EditorRequest, cursor_of, reading_job, share_now
from lsp_server.documents.documents import Document
from lsp_server.documents.notebooks import Neighbours
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.scheduling.cursor_context import CursorContext
from lsp_server.scheduling.requests import Answer, PendingRequest, RequestKey
from lsp_server.settings import Settings

log = logging.getLogger(__name__)

EARLY_S = 0.06
"""A client that is told when there is more gets the first certain words after so long, if the whole takes longer."""
SETTLED_S = 0.05
"""A document that is shown for a shorter time is not read ahead."""


def noting(server: MidtokenServer, request: EditorRequest) -> Note:
    """A function that records each item of the answer to a request as an offer."""

    def note(text: str) -> str:
        place = request.place
        is_ghost_text = request.kind == "inline"
        return server.state.ledger.offer(
            Offer(request.document.uri, place.start, len(place.typed), text, is_ghost_text)
        )

    return note


def document_of(server: MidtokenServer, uri: str) -> Document | None:
    """The open document that a request is about. None, with a log line, if it is not open."""
    document = server.state.documents.get(uri)
    if document is None and uri not in server.state.left_out:
        log.warning("a completion was asked for in a document that is not open; it is empty")
    return document


async def answer(server: MidtokenServer, request: EditorRequest) -> tuple[Completion, ...]:
    """The candidates, best first; none if anything prevents a completion. Raises only `asyncio.CancelledError`."""
    statistics = server.state.statistics
    statistics.asked(time.monotonic(), time.process_time())
    try:
        return await _answer(server, request)
    except asyncio.CancelledError:
        statistics.cancelled += 1
        raise


async def _answer(server: MidtokenServer, request: EditorRequest) -> tuple[Completion, ...]:
    state, document, arrived = server.state, request.document, time.monotonic()
    around = state.neighbours(document)
    if not state.is_on(document) or not await state.configured_within(state.settings.budget_ms / 1000):
        return ()
    settings = state.settings
    readable = await state.readable((document, *around.others))
    if settings != state.settings:
        return await _answer(server, request)  # the new settings may allow other files
    if document.uri not in state.documents or not state.is_on(document):
        return ()  # closed or switched off in the meantime
    if state.phase == "shut down":
        return ()
    if document not in readable:
        server.trace(f"{request.kind}: the document is excluded, ignored by git, or of a language that is left out")
        return ()
    deadline = Deadline(arrived, settings.budget_ms)
    cursor = cursor_of(server, request)
    key = RequestKey(document.uri, document.version, request.kind)
    delay_ms = state.debounce.delay_ms(arrived, settings.debounce_ms)
    known = state.completion_cache.look_up(cursor)
    if known is not None:
        state.scheduler.answered(key)
        state.statistics.answered(deadline.took_ms, "memory")
        server.trace(f"{request.kind}: {len(known)} candidates, known before")
        return known
    around, shared = replace(around, others=readable[1:]), _is_shared(request, settings)
    job = CompletionJob(server, request, around, deadline, goes_on=shared)
    pending = PendingRequest(
        key,
        cursor,
        job,
        ready=lambda: state.model.wait(deadline.left_ms / 1000),
        delay_s=delay_ms / 1000 if request.automatic else 0.0,
        shared=shared,
        early_s=arrived + EARLY_S if shared and _is_told_more(server, request) else math.inf,
        deadline_s=deadline.at_s if shared else math.inf,
        so_far=job.so_far,
        on_more=lambda: server.tell_more(request.document, request.place.end),
    )
    found = await _run(server, pending)
    if isinstance(found, Exception):
        return ()
    _count(server, found, deadline)
    server.trace(_line(request, found, deadline.took_ms, settings.trace == "verbose"))
    if found is not None and found.result.is_partial and share_now(server).reads_ahead:
        state.scheduler.read_ahead(cursor, reading_job(server, request, around))
    return () if found is None else found.completions


async def _run(server: MidtokenServer, pending: PendingRequest) -> Answer | Exception | None:
    """The scheduler's answer, or the error of the engine, which is counted and reported here."""
    try:
        return await server.state.scheduler.run(pending)
    except Exception as error:  # whatever broke, the editor gets an empty list and the server lives
        server.state.statistics.failed += 1
        note_error(server, error)
        return error


async def speculate(server: MidtokenServer, document: Document, offset: int) -> None:
    """Start the completion that will be asked for next: ghost text at ``offset``, where an accepted item ends."""
    state, settings = server.state, server.state.settings
    request = EditorRequest("inline", document, place_at(document, offset), 1, automatic=True)
    if not state.is_on(document) or state.model.info is None or not _is_shared(request, settings):
        return
    around = await _readable_around(server, document)
    if around is None:
        return
    cursor = cursor_of(server, request)
    if state.completion_cache.look_up(cursor) is None:
        deadline = Deadline(time.monotonic(), settings.budget_ms)
        state.scheduler.speculate(cursor, CompletionJob(server, request, around, deadline))


async def read_around(server: MidtokenServer) -> None:
    """Let the model read ahead what a request at the user's place would need, unless there is other work."""
    state = server.state
    state.reading_starts += 1
    focus, start = state.focus, state.reading_starts
    await asyncio.sleep(SETTLED_S)
    if focus is None or state.reading_starts != start:
        return  # a later start reads: an editor that restores a session opens many documents at once
    uri, offset = focus
    document = state.documents.get(uri)
    if document is None or state.model.info is None or not state.is_on(document) or not state.settings.read_ahead:
        return
    if not await state.configured_within(state.settings.budget_ms / 1000) or not share_now(server).reads_ahead:
        return
    around = await _readable_around(server, document)
    if around is not None and state.reading_starts == start and state.phase == "running":
        cursor = min(offset, len(document.text))  # it may have become shorter since
        request = EditorRequest("inline", document, place_at(document, cursor), 1, automatic=True)
        state.scheduler.read_ahead(cursor_of(server, request), reading_job(server, request, around))


async def _readable_around(server: MidtokenServer, document: Document) -> Neighbours | None:
    """The neighbours of a document that may be read; None if the document itself may not be read, or has changed."""
    state = server.state
    around = state.neighbours(document)
    readable = await state.readable((document, *around.others))
    if document not in readable or state.documents.get(document.uri) is not document:
        return None
    return replace(around, others=readable[1:])


def note_result(server: MidtokenServer, cursor: CursorContext, result: CompletionResult, took_ms: float) -> None:
    """A model call has ended. Its result is kept, even if nobody waits for it."""
    state = server.state
    state.debounce.answered(took_ms)
    if cursor.uri in state.documents:
        state.completion_cache.remember(cursor, result.completions)
    server.note_failure(None)


def note_error(server: MidtokenServer, error: Exception) -> None:
    """A model call failed."""
    log.warning("a completion failed: %s", describe(error))
    if isinstance(error, DeviceError | ModelFolderError):
        # Memory, a driver, a damaged model: only the user can do something about it, so it is shown.
        server.tell_error(f"a completion failed: {error}")
    server.note_failure(describe(error))


def _is_shared(request: EditorRequest, settings: Settings) -> bool:
    return request.candidates == 1 and can_stream(settings.strategy)


def _is_told_more(server: MidtokenServer, request: EditorRequest) -> bool:
    """Whether a part of the answer is of use now: the client asks again when the rest is there."""
    return server.state.client.more_text and request.kind == "inline" and request.automatic


def _count(server: MidtokenServer, found: Answer | None, deadline: Deadline) -> None:
    statistics = server.state.statistics
    if found is not None:
        statistics.answered(deadline.took_ms, "running" if found.handed_on else "model")
        if not found.handed_on:
            statistics.drafted(found.result.drafts)
    elif deadline.left_ms <= 0:
        statistics.out_of_time += 1
    elif server.state.model.state == "failed":
        statistics.failed += 1
    else:
        statistics.superseded += 1


def _line(request: EditorRequest, found: Answer | None, took_ms: float, verbose: bool) -> str:
    """A line for the trace: figures only, never what is in the document."""
    if found is None:
        return f"{request.kind}: superseded, out of time or without a model after {took_ms:.0f} ms"
    how = ", by a call that was under way" if found.handed_on else ""
    line = f"{request.kind}: {len(found.completions)} candidates in {took_ms:.0f} ms{how}"
    if not verbose:
        return line
    result, timing = found.result, found.result.timing
    return (
        f"{line} (tokenize {timing.tokenize_ms:.1f}, heal {timing.heal_ms:.1f}, prefill {timing.prefill_ms:.1f},"
        f" decode {timing.decode_ms:.1f} ms; {result.reused_tokens} of {result.prompt_tokens} prompt tokens reused)"
    )
