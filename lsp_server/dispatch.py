"""From the bytes of a message to pygls, with checks for everything that can be wrong with a message.

A message that is passed on is well-formed, of a method that is served, and allowed at this point of the session. Its
parameters are what `lsp_server.messages` reads from them. Every other request is answered with an error of the
protocol.
"""

import asyncio
import json
import logging
import time
from typing import Any

from lsprotocol import types
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage

from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.messages.fields import Unreadable, identifier, integer, member, text
from lsp_server.messages.parameters import read_parameters
from lsp_server.transport.connection import Connection
from lsp_server.transport.frames import framed

log = logging.getLogger(__name__)

EXIT_CLEAN, EXIT_UNCLEAN = 0, 1
FAREWELL_S = 0.2
"""Seconds for sending the empty answers to open requests."""
_ABOUT_DOCUMENTS = ("textDocument/", "notebookDocument/")


class Dispatcher:
    """Hands the messages of one connection to a server."""

    def __init__(self, server: MidtokenServer, connection: Connection) -> None:
        self._server = server
        self._connection = connection

    def handle(self, body: bytes) -> int | None:
        """Handle one message. Returns the exit status if the client asked to exit."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            self._refuse(None, types.ErrorCodes.ParseError, f"a message is no JSON ({type(error).__name__})")
            return None
        if not _is_message(message):
            number = identifier(member(message, "id"))
            self._refuse(number, types.ErrorCodes.InvalidRequest, "a message is no JSON-RPC 2.0 request or response")
            return None
        if "method" not in message:
            self._pass_on(self._response(message))
        elif message["method"] == types.EXIT:
            return self.exit_status
        elif self._is_allowed(message):
            self._call(message)
        return None

    @property
    def exit_status(self) -> int:
        """0 after a shutdown request, 1 without one, as the specification says."""
        return EXIT_CLEAN if self._server.state.phase == "shut down" else EXIT_UNCLEAN

    def _is_allowed(self, message: dict[str, Any]) -> bool:
        method, phase = message["method"], self._server.state.phase
        reason: tuple[types.ErrorCodes, str] | None = None
        if phase == "new" and method != types.INITIALIZE:
            reason = types.ErrorCodes.ServerNotInitialized, "the first request must be initialize"
        elif phase != "new" and method == types.INITIALIZE:
            reason = types.ErrorCodes.InvalidRequest, "initialize was sent before"
        elif phase == "shut down":
            reason = types.ErrorCodes.InvalidRequest, "the server is shut down"
        elif not self._server.serves(method):
            reason = types.ErrorCodes.MethodNotFound, f"unknown method {method[:80]!r}"
        if reason is None:
            return True
        if "id" in message:
            self._refuse(identifier(message["id"]), *reason)
        elif not method.startswith("$/"):  # those may be ignored without a word
            log.warning("%s; the notification is ignored", reason[1])
        return False

    def _call(self, message: dict[str, Any]) -> None:
        method: str = message["method"]
        if method.startswith(_ABOUT_DOCUMENTS) and not self._server.state.begun:
            # The client never sent `initialized`, but it is ready by now. Without this no model would ever be loaded.
            self._pass_on(JsonRPCNotification(types.INITIALIZED, "2.0", None))
        try:
            params = read_parameters(method, message.get("params"))
        except Unreadable as error:
            reason = f"the parameters of {method[:80]} are not as specified: {error}"
            if "id" in message:
                self._refuse(identifier(message["id"]), types.ErrorCodes.InvalidParams, reason)
            else:
                log.warning("%s; it is ignored", reason)
            return
        number = identifier(message.get("id"))
        if number is None:
            self._pass_on(JsonRPCNotification(method, "2.0", params))
        else:
            self._pass_on(JsonRPCRequestMessage(number, method, "2.0", params))

    def _response(self, message: dict[str, Any]) -> JsonRPCResponseMessage | types.ResponseErrorMessage | None:
        """An answer of the client, with its content as plain JSON; None if nothing was asked with that id."""
        number, protocol = identifier(message["id"]), self._server.protocol
        if number is None or number not in protocol._result_types:
            log.warning("an answer of the client fits no question; it is ignored")
            return None
        del protocol._result_types[number]
        if "error" not in message:
            return JsonRPCResponseMessage(number, "2.0", message.get("result"))
        code = integer(member(message, "error", "code"), low=-(2**31))
        said = types.ResponseError(0 if code is None else code, text(member(message, "error", "message")) or "")
        return types.ResponseErrorMessage(number, said)

    def _pass_on(self, message: Any) -> None:
        if message is None:
            return
        try:
            self._server.protocol.handle_message(message)
        except Exception as error:  # one message must not end the server
            log.error("a message failed: %s", describe(error))

    def _refuse(self, number: str | int | None, code: types.ErrorCodes, text: str) -> None:
        log.warning("%s; it is refused", text)
        reply = {"jsonrpc": "2.0", "id": number, "error": {"code": code.value, "message": text}}
        self._connection.write(framed(json.dumps(reply).encode("ascii")))


def _is_message(message: object) -> bool:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return False
    if "id" in message and identifier(message["id"]) is None and "error" not in message:
        return False
    return isinstance(message.get("method"), str) or ("method" not in message and "id" in message)


async def _until_answered(server: MidtokenServer, timeout_s: float) -> None:
    """Let requests that are not yet, or no longer, at the scheduler write their answers."""
    end = time.monotonic() + timeout_s
    while server.protocol._request_futures and time.monotonic() < end:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)  # a handler that has just ended still has to write its answer


async def converse(server: MidtokenServer, connection: Connection) -> int:
    """Serve a client until it exits or is gone; the exit status of the process."""
    dispatcher = Dispatcher(server, connection)
    server.protocol.set_writer(connection)
    connection.start()
    status: int | None = None
    while status is None and (body := await connection.receive()) is not None:
        status = dispatcher.handle(body)
        # A request's handler starts here, before the next message, so it sees the version of the document that it was
        # sent for.
        await asyncio.sleep(0)
    await server.state.scheduler.finish(FAREWELL_S)
    await _until_answered(server, FAREWELL_S)
    await connection.finish()
    server.state.files.stop(0.0)
    return dispatcher.exit_status if status is None else status
