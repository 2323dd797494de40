"""pygls's language server, without the parts that we implement ourselves."""

import asyncio
import importlib.metadata
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from lsp_server.documents.documents import Document
from lsp_server.documents.positions import position_of
from lsp_server.logs import describe
from lsp_server.state import ServerState
from lsp_server.status import METHOD, status_of

log = logging.getLogger(__name__)

# pygls's documents split lines at the wrong characters, it keeps an object for every notification and command, its
# commands are not cancelled, and its exit never reports a status.
_OURS = (
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.NOTEBOOK_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE,
    types.WORKSPACE_EXECUTE_COMMAND,
    types.EXIT,
)


MORE_TEXT = "midtoken/moreText"
"""A notification to the client: there is more than it was answered for a place."""
NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[types.NotebookDocumentFilterWithNotebook(notebook="*")], save=False
)
"""Every notebook, with all its cells."""


class _Protocol(LanguageServerProtocol):
    """Answers every request, even if data that the client sent, and gets back, is nested too deeply to be written."""

    def _send_response(self, msg_id: str | int, result: Any | None = None, error: Any | None = None) -> None:
        if error is None and isinstance(result, Mapping):
            try:
                json.dumps(self._converter.unstructure(result))
            except (RecursionError, TypeError, ValueError):
                log.warning("an answer is nested too deep to be written; it is refused")
                code = types.ErrorCodes.InvalidParams.value
                error = types.ResponseError(code, "what was sent is nested too deep")
        super()._send_response(msg_id, None if error else result, error)


class MidtokenServer(LanguageServer):
    """A language server with the state of its one client."""

    def __init__(self, state: ServerState) -> None:
        super().__init__(
            "midtoken",
            _version(),
            protocol_cls=_Protocol,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=NOTEBOOKS,
        )
        self.state = state
        self._under_way: set[asyncio.Task[None]] = set()
        self._withheld: dict[str, Callable[..., object]] = {}
        for method in _OURS:
            self.protocol.fm.builtin_features.pop(method, None)

    def serves(self, method: str) -> bool:
        """Whether there is a handler of this method."""
        features = self.protocol.fm
        return method == types.CANCEL_REQUEST or method in features.features or method in features.builtin_features

    def start(self, work: Coroutine[Any, Any, None], failed: str, *, tells: bool = False) -> None:
        """Run work that a message starts. If it raises, log the words ``failed``, or show them to the user.

        The handler itself is not a coroutine, because pygls would never release its task.
        """
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, failed, tells))

    def _ended(self, task: "asyncio.Task[None]", failed: str, tells: bool) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            message = f"{failed} ({describe(error)})"
            if tells:
                self.tell_error(f"{message}; there may be no completions")
            else:
                log.error("%s", message)

    def withhold(self, methods: Iterable[str]) -> None:
        """Do not advertise these methods in the answer to ``initialize``."""
        features = self.protocol.fm.features
        self._withheld = {method: features.pop(method) for method in methods}

    def restore(self) -> None:
        """Serve what was withheld."""
        self.protocol.fm.features.update(self._withheld)

    def report_server_error(self, error: Exception, source: object) -> None:
        """Log the error. It is not shown, because the user can do nothing about it."""
        log.error("an error of the protocol: %s", describe(error))

    def tell(self, kind: types.MessageType, messages: Iterable[str]) -> None:
        """Show each message to the user, once in the session, and log it."""
        for message in self.state.unreported(messages):
            log.warning("%s", message)
            self.window_show_message(types.ShowMessageParams(kind, f"Midtoken: {message}"))

    def report_status(self) -> None:
        """Tell the client's status bar what the server does, if it has one and the status has changed."""
        if not self.state.client.status or self.state.phase != "running":
            return
        status = status_of(self.state)
        if replace(status, latency_ms=None) != self.state.status_sent:
            self.state.status_sent = replace(status, latency_ms=None)
            self.protocol.notify(METHOD, status.to_json())

    def tell_more(self, document: Document, index: int) -> None:
        """Tell the client that more than it was answered is known at a place, unless the document has changed since."""
        state = self.state
        if state.client.more_text and state.phase == "running" and state.documents.get(document.uri) is document:
            place = position_of(document, index, state.client.encoding)
            identifier = {"uri": document.uri, "version": document.version}
            position = {"line": place.line, "character": place.character}
            self.protocol.notify(MORE_TEXT, {"textDocument": identifier, "position": position})

    def tell_error(self, message: str) -> None:
        """Show an error that the user can do something about, once in the session."""
        self.tell(types.MessageType.Error, (message,))

    def note_failure(self, reason: str | None) -> None:
        """Record why the last completion failed, or None if it worked."""
        if reason != self.state.failure:
            self.state.failure = reason
            self.report_status()

    def trace(self, message: str) -> None:
        """Log a line at the client if the ``trace`` setting asks for it. Never text of a document."""
        if self.state.settings.trace != "off":
            self.window_log_message(types.LogMessageParams(types.MessageType.Log, message))


def _version() -> str:
    try:
        return importlib.metadata.version("midtoken")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # run from a checkout
