"""``workspace/didChangeConfiguration`` and the settings and model that follow from it."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping

from lsprotocol import types

from engine import MidtokenError
from lsp_server.features.registration import register_completions
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.scheduling.model import CompleterLike, ModelChoice
from lsp_server.settings import SECTION

log = logging.getLogger(__name__)

CONFIGURATION_TIMEOUT_S = 2.0
"""A client that does not answer gets the settings that it gave so far, and its completions."""


def did_change_configuration(ls: MidtokenServer, params: types.DidChangeConfigurationParams) -> None:
    """Take the settings: ask for them if the client can be asked, else as they are sent."""
    sent = params.settings.get(SECTION) if isinstance(params.settings, Mapping) else None
    ls.start(take_settings(ls, sent))


async def take_settings(ls: MidtokenServer, sent: object) -> None:
    """Read the client's settings, report what is wrong with them, and load the model that they name."""
    session = ls.session
    problems = session.configure(await _ask(ls) if session.client.configuration else sent)
    ls.tell(types.MessageType.Warning, (*session.notes, *problems))
    register_completions(ls)
    await _load_model(ls)


async def _ask(ls: MidtokenServer) -> object:
    item = types.ConfigurationItem(section=SECTION)
    request = ls.workspace_configuration_async(types.ConfigurationParams([item]))
    try:
        answers = await asyncio.wait_for(request, CONFIGURATION_TIMEOUT_S)
    except Exception as error:  # refused, malformed or too late: all the same here
        log.warning("the client did not tell its settings: %s", describe(error))
        return None
    return answers[0] if answers else None


async def _load_model(ls: MidtokenServer) -> None:
    settings = ls.session.settings
    wanted = ModelChoice(settings.model, settings.device, settings.threads)
    loading = asyncio.ensure_future(ls.session.model.load(wanted))
    await asyncio.sleep(0)  # it is loading from the first step of the task on
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
    finally:
        loading.cancel()
        ls.report_status()


def _consequence(ls: MidtokenServer) -> str:
    return "there are no completions" if ls.session.model.info is None else "the model before stays in use"


async def _show_progress(ls: MidtokenServer, loading: "asyncio.Task[CompleterLike | None]") -> None:
    """Show that the model loads, if the client can and before it is over; returns once it is."""
    if not ls.session.client.progress or loading.done():
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
        # pygls keeps what it would need for a cancellation, from the client's answer on, which may come later.
        created.add_done_callback(lambda task: ls.work_done_progress.tokens.pop(token, None))
