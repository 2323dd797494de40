"""The language server: which handler answers which method, and how a client is served. There is no other logic here."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lsprotocol import types

from engine import Completer, DeviceChoice, probe_model
from lsp_server.completion.answer import note_error, note_result
from lsp_server.dispatch import converse
from lsp_server.features import notebook
from lsp_server.features.commands import COMMANDS, did_partially_accept, did_show, execute_command
from lsp_server.features.completion import completion, resolve_item
from lsp_server.features.configuration import did_change_configuration
from lsp_server.features.focus import did_focus
from lsp_server.features.inline_completion import inline_completion
from lsp_server.features.lifecycle import initialize, initialized, shutdown
from lsp_server.features.registration import TRIGGER_CHARACTERS
from lsp_server.features.text_document import did_change, did_close, did_open
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import logging_to
from lsp_server.messages.parameters import DID_FOCUS, DID_PARTIALLY_ACCEPT, DID_SHOW
from lsp_server.models.lookup import model_folder
from lsp_server.scheduling.model import Finder, Loader, ModelHost, Probe, take_as_path, trust
from lsp_server.scheduling.priority import give_way
from lsp_server.scheduling.scheduler import Observers, Scheduler
from lsp_server.scheduling.worker import ModelThread
from lsp_server.settings import read_environment, resolve
from lsp_server.state import ServerState
from lsp_server.transport.connection import Connection
from lsp_server.transport.standard_streams import claim_standard_streams
from lsp_server.transport.tcp import accept_client, loopback_family, read_token

log = logging.getLogger(__name__)

CLOSING_TIMEOUT_S = 2.0


def create_server(
    launch: Mapping[str, object],
    environment: Mapping[str, str],
    load: Loader,
    probe: Probe = trust,
    find: Finder = take_as_path,
) -> MidtokenServer:
    """A server with handlers for all methods. ``launch`` has settings of the command line, by field name."""
    values, notes = read_environment(environment)
    thread = ModelThread(begin=give_way)
    layers = {**values, **launch}
    state = ServerState(
        ModelHost(thread, load, probe, find), Scheduler(thread), layers, notes, settings=resolve(layers)
    )
    server = MidtokenServer(state)
    state.scheduler.observers = Observers(
        on_change=server.report_status,
        on_result=lambda where, result, took_ms: note_result(server, where, result, took_ms),
        on_error=lambda error: note_error(server, error),
    )
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.SHUTDOWN)(shutdown)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.TEXT_DOCUMENT_DID_OPEN)(did_open)
    server.feature(types.TEXT_DOCUMENT_DID_CHANGE)(did_change)
    server.feature(types.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)(notebook.did_open)
    server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)(notebook.did_change)
    server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)(notebook.did_close)
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    options = types.CompletionOptions(trigger_characters=TRIGGER_CHARACTERS, resolve_provider=True)
    server.feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)
    server.feature(types.COMPLETION_ITEM_RESOLVE)(resolve_item)
    server.feature(DID_FOCUS)(did_focus)
    server.feature(DID_SHOW)(did_show)
    server.feature(DID_PARTIALLY_ACCEPT)(did_partially_accept)
    server.feature(types.WORKSPACE_EXECUTE_COMMAND)(execute_command)
    for name, handler in COMMANDS.items():
        server.command(name)(handler)  # so that it is advertised
    return server


def serve(
    *,
    model: Path | str | None = None,
    device: DeviceChoice | None = None,
    tcp: tuple[str, int] | None = None,
    token_file: Path | None = None,
    remote: Mapping[str, object] = MappingProxyType({}),
    load: Loader = Completer.load,
    probe: Probe = probe_model,
    find: Finder = model_folder,
) -> int:
    """Serve one client until it leaves, on standard input and output or on a TCP port; returns the exit status.

    On TCP, a client must show the token in ``token_file``. Without a file, a token is made up and logged.

    ``model`` and ``device`` come from the command line. They take precedence over the environment, but not over the
    client's settings. None means not given. ``remote`` are settings of the team's service, likewise.
    """
    with logging_to() as recent:
        connection = _connect(tcp, token_file)
        if isinstance(connection, int):
            return connection
        launch = dict(remote)
        if model is not None:
            launch["model"] = model.expanduser().resolve() if isinstance(model, Path) else model
        if device is not None:
            launch["device"] = device
        server = create_server(launch, os.environ, load, probe, find)
        server.state.log = recent
        try:
            status = asyncio.run(converse(server, connection))
        except KeyboardInterrupt:
            status = 1
        host = server.state.model
        if not host.close(CLOSING_TIMEOUT_S) or host.is_loading:
            # A normal interpreter exit would free data that the native library on that thread still uses, and the
            # process would abort.
            log.info("a model call or a load has not ended; the server leaves without it")
            os._exit(status)
        return status


def _connect(tcp: tuple[str, int] | None, token_file: Path | None) -> Connection | int:
    """The client, or the exit status if no client connected."""
    host, port = tcp or ("", 0)
    family = loopback_family(host)
    if tcp is not None and family is None:
        log.error("%s is no loopback address; documents travel unencrypted, so use 127.0.0.1, ::1 or localhost", host)
        return 2
    try:
        if family is None:
            return claim_standard_streams()
        return accept_client(host, port, family, None if token_file is None else read_token(token_file))
    except ValueError as error:
        log.error("cannot serve on TCP: %s", error)
    except (OSError, OverflowError) as error:
        log.error("cannot serve on %s: %s", "the standard streams" if tcp is None else f"{host} port {port}", error)
    except KeyboardInterrupt:
        pass
    return 1
