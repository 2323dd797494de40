"""A small client for the whole server in one process: real bytes over a socket pair, and a fake model."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from lsprotocol import types

from lsp_server.dispatch import converse
from lsp_server.effort import Machine
from lsp_server.scheduling.model import Loader
from lsp_server.server import create_server
from lsp_server.transport.connection import Connection
from tests.lsp_server.fakes import FakeCompleter

URI = "file:///project/a.py"
TIMEOUT_S = 60.0
"""Upper limit for waiting, long enough for a busy machine. Only a test that hangs waits this long."""
CAPABILITIES: Mapping[str, Any] = {
    "textDocument": {"inlineCompletion": {}, "completion": {}, "synchronization": {}},
    "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    "window": {"workDoneProgress": True},
}


class WireError(Exception):
    """The server answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Wire:
    """The client's side. It answers the server's requests and keeps its notifications."""

    def __init__(
        self, load: Loader, configuration: object = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.load = load
        self.configuration = configuration
        self.environment = environment or {}
        self.asked: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.answers_progress = True
        self.replies: dict[str, Any] = {}
        """Answers by method, in place of the usual ones. Without an entry, the usual answer is sent."""
        self._waiting: dict[Any, asyncio.Future[Any]] = {}
        self._number = 1_000_000_000  # no invented message has such an id

    async def __aenter__(self) -> "Wire":
        ours, theirs = socket.socketpair()
        self.server = create_server({}, self.environment, self.load)
        self.server.state.machine = Machine(
            on_battery=lambda: False, used=lambda: (0.0, 0.0)
        )  # whatever else runs here
        with theirs:
            connection = Connection(theirs.makefile("rb"), theirs.makefile("wb"))
        self.status = asyncio.ensure_future(converse(self.server, connection))
        self.reader, self.writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await asyncio.wait_for(self.status, TIMEOUT_S)
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        assert await asyncio.to_thread(self.server.state.model.close, TIMEOUT_S)

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, **message: Any) -> None:
        self.send_json({"jsonrpc": "2.0", **message})

    def send_json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_raw(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def notify(self, method: str, params: object = None) -> None:
        self.send(method=method, **({} if params is None else {"params": params}))

    def ask(self, method: str, params: object = None) -> tuple[int, "asyncio.Future[Any]"]:
        """Send a request. Returns its number and the future of its result."""
        self._number += 1
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self.send(id=self._number, method=method, params=params)
        return self._number, self._waiting[self._number]

    async def request(self, method: str, params: object = None) -> Any:
        return await asyncio.wait_for(self.ask(method, params)[1], TIMEOUT_S)

    async def initialize(
        self,
        options: object = None,
        capabilities: Mapping[str, Any] = CAPABILITIES,
        encodings: tuple[str, ...] = (),
        name: str = "test",
    ) -> Any:
        offered = {**capabilities, "general": {"positionEncodings": encodings}} if encodings else capabilities
        params = {
            "processId": None,
            "clientInfo": {"name": name},
            "rootUri": None,
            "capabilities": offered,
            "initializationOptions": options,
        }
        result = await self.request(types.INITIALIZE, params)
        self.notify(types.INITIALIZED, {})
        return result

    def open(self, text: str, uri: str = URI, language: str = "python") -> None:
        document = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": document})

    def change(self, changes: list[dict[str, Any]], version: int | None = 2, uri: str = URI) -> None:
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}
        self.notify(types.TEXT_DOCUMENT_DID_CHANGE, params)

    def ask_inline(
        self, line: int, character: int, *, trigger: int = 1, uri: str = URI, selected: object = None
    ) -> tuple[int, "asyncio.Future[Any]"]:
        context = {"triggerKind": trigger} | ({"selectedCompletionInfo": selected} if selected else {})
        params = {**_at(uri, line, character), "context": context}
        return self.ask(types.TEXT_DOCUMENT_INLINE_COMPLETION, params)

    async def inline(self, line: int, character: int, **keywords: Any) -> list[Any]:
        result = await asyncio.wait_for(self.ask_inline(line, character, **keywords)[1], TIMEOUT_S)
        return [*result["items"]]

    async def classic(self, line: int, character: int, uri: str = URI) -> Any:
        return await self.request(types.TEXT_DOCUMENT_COMPLETION, _at(uri, line, character))

    async def running(self, fake: FakeCompleter, text: str = "!slow") -> tuple[int, "asyncio.Future[Any]"]:
        """A request that the model works on: its number and its future answer."""
        self.open(text)
        number, answer = self.ask_inline(0, len(text))
        await self.until(fake.started.is_set)
        return number, answer

    def messages(self, method: str = types.WINDOW_SHOW_MESSAGE) -> list[str]:
        return [told["params"]["message"] for told in self.told if told["method"] == method]

    async def until(self, what: Any) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(TIMEOUT_S):
            while not what():
                await asyncio.sleep(0.002)

    async def _read(self) -> None:
        while header := await self.reader.readline():
            length = int(header.split(b":")[1])
            while (await self.reader.readline()).strip():
                pass
            self._take(json.loads(await self.reader.readexactly(length)))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            future = self._waiting.pop(message["id"], None)
            if future is None:
                self.errors.append(message)
            elif "error" in message:
                future.set_exception(WireError(message["error"]["code"], message["error"]["message"]))
            else:
                future.set_result(message["result"])
        elif "id" not in message:
            self.told.append(message)
        else:
            self.asked.append(message)
            if (reply := self.replies.get(message["method"])) is not None:
                if reply:
                    self.send(id=message["id"], **reply)
            elif message["method"] == types.WORKSPACE_CONFIGURATION:
                self.send(id=message["id"], result=[self.configuration])
            elif message["method"] != types.WINDOW_WORK_DONE_PROGRESS_CREATE or self.answers_progress:
                self.send(id=message["id"], result=None)


@asynccontextmanager
async def connected(
    fake: FakeCompleter | None = None, configuration: object = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Wire]:
    """A client whose session has begun, with a server that has a fake model."""
    async with Wire((fake or FakeCompleter()).load, configuration, environment) as wire:
        await wire.initialize()
        yield wire


def _at(uri: str, line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
