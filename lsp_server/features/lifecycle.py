"""``initialize``, ``initialized`` and ``shutdown``."""

import logging
import os

from lsprotocol import types

from lsp_server.features.configuration import SETTINGS_FAILED, take_settings
from lsp_server.features.registration import hold_back, register
from lsp_server.language_server import MidtokenServer
from lsp_server.watchdog import watch_parent

log = logging.getLogger(__name__)


def initialize(ls: MidtokenServer, params: types.InitializeParams) -> None:
    """Record the client's capabilities and options. pygls answers with ours."""
    name = params.client_info.name if params.client_info else None
    ls.state.begin(params.capabilities, params.initialization_options, name)
    assert ls.workspace.position_encoding == ls.state.client.encoding, "pygls advertises another position encoding"
    hold_back(ls)
    if params.process_id is not None:
        watch_parent(params.process_id, _leave)


def initialized(ls: MidtokenServer, params: None) -> None:
    """Ask for the settings and load the model. Requests that come earlier wait for it within their budget.

    This happens once in a session. Errors are shown to the user, who would not know otherwise why nothing works.
    """
    if not ls.state.begun:
        ls.state.begun = True
        ls.start(_begin(ls), SETTINGS_FAILED, tells=True)


async def _begin(ls: MidtokenServer) -> None:
    register(ls)
    await take_settings(ls, None)


def shutdown(ls: MidtokenServer, params: None) -> None:
    """Answer open requests with nothing, and refuse new ones."""
    ls.state.phase = "shut down"
    ls.state.scheduler.drop_all()


def _leave() -> None:
    # This runs on a thread, and the main thread may be in a model call. Only this certainly ends the process.
    log.warning("the client's process is gone; the server leaves")
    os._exit(1)
