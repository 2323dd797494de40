"""``workspace/didChangeConfiguration`` and the settings and model that follow from it."""

import asyncio
import contextlib
import logging
import uuid
from typing import Any

from lsprotocol import types

from engine import MidtokenError
from lsp_server.completion.answer import read_around
from lsp_server.features.registration import register_completions
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.messages.fields import member
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.scheduling.model import ModelChoice
from lsp_server.settings import SECTION

log = logging.getLogger(__name__)

READING_FAILED = "a document could not be read ahead"
SETTINGS_FAILED = "the settings could not be taken"
CONFIGURATION_TIMEOUT_S = 2.0
"""If a client does not answer in this time, its earlier settings are used."""


def did_change_configuration(ls: MidtokenServer, settings: object) -> None:
    """Take the settings: ask the client if it can be asked, otherwise use what was sent."""
    ls.start(take_settings(ls, member(settings, SECTION)), SETTINGS_FAILED, tells=True)


async def take_settings(ls: MidtokenServer, sent: object) -> None:
    """Read the client's settings, report what is wrong with them, and load the model that they name."""
    state = ls.state
    if not state.client.configuration:
        await _apply(ls, state.configure(sent))
        return
    state.questions += 1
    number = state.questions
    asked = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
    question = asyncio.ensure_future(ls.workspace_configuration_async(asked))
    await asyncio.wait((question,), timeout=CONFIGURATION_TIMEOUT_S)
    if question.done():
        await _take_answer(ls, number, question)
        return
    log.warning("the client has not sent its settings yet; the earlier ones stay until it does")

    def take_late(answer: "asyncio.Task[Any]") -> None:
        if not answer.cancelled():
            ls.start(_take_answer(ls, number, answer), SETTINGS_FAILED, tells=True)

    question.add_done_callback(take_late)
    state.keep_configuration()
    await _apply(ls, ())


async def _take_answer(ls: MidtokenServer, number: int, answer: "asyncio.Task[Any]") -> None:
    """Take the client's answer, unless a later question was answered first. If the client refuses, its last
    settings stay.
    """
    state = ls.state
    if number < state.answered_question:
        return
    state.answered_question = number
    problems: tuple[str, ...] = ()
    error = answer.exception()
    said = None if error is not None else answer.result()
    if isinstance(said, list) and said:
        problems = state.configure(said[0])
    else:
        reason = "no list of settings" if error is None else describe(error)
        log.warning("the client does not tell its settings (%s); those from before stay", reason)
        state.keep_configuration()
    await _apply(ls, problems)


async def _apply(ls: MidtokenServer, problems: tuple[str, ...]) -> None:
    ls.tell(types.MessageType.Warning, (*ls.state.notes, *problems))
    register_completions(ls)
    await load_model(ls)


async def load_model(ls: MidtokenServer) -> None:
    """Load the model that the settings name, unless it is loaded. Errors are shown to the user."""
    settings = ls.state.settings
    wanted = ModelChoice(settings.model, settings.device, settings.threads, settings.remote)
    loading = asyncio.ensure_future(ls.state.model.load(wanted))
    await asyncio.sleep(0)  # let the task start, so that the state is "loading"
    ls.report_status()
    try:
        await _show_progress(ls, loading)
        completer = await loading
    except MidtokenError as error:
        ls.tell_error(f"{_consequence(ls)}: {error}")
    except Exception as error:  # a broken model must not end the server
        ls.tell_error(f"{_consequence(ls)}: the model failed to load ({describe(error)})")
    else:
        if completer is not None:
            log.info("the model is loaded")
            ls.note_failure(None)
            ls.tell(types.MessageType.Warning, completer.notices)
            ls.start(read_around(ls), READING_FAILED)
    finally:
        loading.cancel()
        ls.report_status()


def _consequence(ls: MidtokenServer) -> str:
    return "there are no completions" if ls.state.model.info is None else "the model before stays in use"


async def _show_progress(ls: MidtokenServer, loading: "asyncio.Task[CompleterLike | None]") -> None:
    """Show that the model is loading, if the client supports it and loading is not over yet. Returns when it is
    over.
    """
    if not ls.state.client.progress or loading.done():
        return
    token = f"midtoken-{uuid.uuid4()}"
    created = asyncio.ensure_future(ls.work_done_progress.create_async(token))
    created.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.wait((loading, created), return_when=asyncio.FIRST_COMPLETED)
    shown = not loading.done() and created.exception() is None
    if shown:
        ls.work_done_progress.begin(token, types.WorkDoneProgressBegin(title="Midtoken: loading the model"))
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((loading,))
    finally:
        if shown:
            ls.work_done_progress.end(token, types.WorkDoneProgressEnd())
        # When the client answers, which may be later, pygls stores data for a cancellation. It is removed here.
        created.add_done_callback(lambda task: ls.work_done_progress.tokens.pop(token, None))
