"""Shared by the end-to-end tests: how servers are started, what their client can do, and an editor's document.

The document is a plain string. Positions are counted by the slow, obvious code of `tests.lsp_server.texts`, so the
tests share no code with the server.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

from lsp_server.documents.positions import PositionEncoding
from tests.lsp_server.texts import slow_index, slow_position

ROOT = Path(__file__).parents[2]
URI = "file:///project/a.py"
FAKE_SERVER = [sys.executable, "-m", "tests.e2e.fake_server"]
REAL_SERVER = [sys.executable, "-m", "lsp_server", "serve"]
TIMEOUT_S = 90
"""Upper limit for waiting, long enough for a busy machine. Only a test that hangs waits this long."""
PATIENT = {"budgetMs": 20_000, "device": "cpu"}
"""Settings for the bundled model. Without a long budget, a slow machine would give other answers."""

_numbers = itertools.count(1)


def environment(**more: str) -> dict[str, str]:
    """Our environment without the variables that configure the server, with the sources on the path and long limits."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MIDTOKEN_")}
    return {**ours, "PYTHONPATH": str(ROOT), "MIDTOKEN_BUDGET_MS": str(PATIENT["budgetMs"]), **more}


def capabilities(*encodings: str) -> types.ClientCapabilities:
    kinds = [types.PositionEncodingKind(encoding) for encoding in encodings]
    return types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(
            inline_completion=types.InlineCompletionClientCapabilities(),
            completion=types.CompletionClientCapabilities(),
            synchronization=types.TextDocumentSyncClientCapabilities(),
        ),
        workspace=types.WorkspaceClientCapabilities(
            configuration=True, execute_command=types.ExecuteCommandClientCapabilities()
        ),
        notebook_document=types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities()),
        window=types.WindowClientCapabilities(work_done_progress=True),
        general=types.GeneralClientCapabilities(position_encodings=kinds) if kinds else None,
        experimental={"midtokenStatus": True},
    )


@asynccontextmanager
async def serving(
    command: Sequence[str],
    *,
    encoding: PositionEncoding = "utf-16",
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    is_quiet: bool = True,
    states: list[str] | None = None,
    statuses: list[Any] | None = None,
) -> AsyncIterator[LanguageClient]:
    """A client of a server that was just started. At the end the server must leave with the right status.

    ``settings`` are the client's answer when the server asks for them. ``is_quiet`` expects that nothing is shown to
    the user. ``states`` receives the states that the server reports, ``statuses`` the whole notifications.
    """
    client = await ClientServerConfig([*command], server_env=environment(**(env or {}))).start()
    assert isinstance(client, LanguageClient)

    def hear(status: Any) -> None:
        if states is not None:
            states.append(status.state)
        if statuses is not None:
            statuses.append(status)

    client.feature("midtoken/status")(hear)
    client.set_configuration(dict(settings or {}), section="midtoken")
    result = await client.initialize_session(types.InitializeParams(capabilities=capabilities(encoding, "utf-16")))
    assert result.capabilities.position_encoding == encoding
    try:
        yield client
        if is_quiet:
            assert [message.message for message in client.messages] == []
        await asyncio.wait_for(client.shutdown_session(), TIMEOUT_S)
        assert client._server is not None
        assert client._server.returncode == 0
    finally:
        await asyncio.wait_for(client.stop(), TIMEOUT_S)  # after a failed test the server was not told to leave


class Buffer:
    """A document in an editor: the text, and the client that reports every change."""

    def __init__(
        self,
        client: LanguageClient,
        text: str = "",
        *,
        encoding: PositionEncoding = "utf-16",
        uri: str = "",
        **more: Any,
    ) -> None:
        self.client = client
        self.text = text
        self.uri = uri or f"file:///project/document_{next(_numbers)}.py"
        self.encoding = encoding
        self.version = 1
        self.item = types.TextDocumentItem(self.uri, more.get("language", "python"), self.version, text)
        self._open()

    def _open(self) -> None:
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(self.item))

    def close(self) -> None:
        client = self.client
        client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(self.uri)))

    def replace(self, start: int, end: int, text: str) -> None:
        """Change the characters from ``start`` up to ``end``."""
        span = types.Range(self.position(start), self.position(end))
        self.text = self.text[:start] + text + self.text[end:]
        self._send(types.TextDocumentContentChangePartial(span, text))

    def type(self, text: str, at: int | None = None) -> None:
        """Insert characters one by one, at the end or somewhere else."""
        at = len(self.text) if at is None else at
        for offset, character in enumerate(text):
            self.replace(at + offset, at + offset, character)

    def replace_all(self, text: str) -> None:
        self.text = text
        self._send(types.TextDocumentContentChangeWholeDocument(text))

    def places(self) -> list[int]:
        """Every place for a cursor: everywhere except inside a line break."""
        return [index for index in range(len(self.text) + 1) if self.text[index - 1 : index + 1] != "\r\n" or not index]

    def position(self, index: int | None = None) -> types.Position:
        return slow_position(self.text, len(self.text) if index is None else index, self.encoding)

    def question(self, at: int | None = None, *, automatic: bool = True) -> types.InlineCompletionParams:
        kind = types.InlineCompletionTriggerKind
        return types.InlineCompletionParams(
            context=types.InlineCompletionContext(kind.Automatic if automatic else kind.Invoked),
            text_document=types.TextDocumentIdentifier(self.uri),
            position=self.position(at),
        )

    async def items(self, at: int | None = None, *, automatic: bool = True) -> Sequence[types.InlineCompletionItem]:
        """Ghost text at a place, by default at the end."""
        asked = self.client.text_document_inline_completion_async(self.question(at, automatic=automatic))
        result = await asyncio.wait_for(asked, TIMEOUT_S)
        assert isinstance(result, types.InlineCompletionList)
        return result.items

    async def texts(self, at: int | None = None, *, automatic: bool = True) -> list[str]:
        """The texts of `items`."""
        return [str(item.insert_text) for item in await self.items(at, automatic=automatic)]

    async def listed(self, at: int | None = None) -> types.CompletionList:
        params = types.CompletionParams(types.TextDocumentIdentifier(self.uri), self.position(at))
        result = await asyncio.wait_for(self.client.text_document_completion_async(params), TIMEOUT_S)
        assert isinstance(result, types.CompletionList)
        return result

    async def accept(self, item: types.InlineCompletionItem) -> None:
        """Insert an item as an editor does, and run its command."""
        assert item.range is not None
        start, end = (slow_index(self.text, place, self.encoding) for place in (item.range.start, item.range.end))
        self.replace(start, end, str(item.insert_text))
        if item.command:
            await run(self.client, item.command.command, *item.command.arguments or ())

    def _send(self, change: types.TextDocumentContentChangeEvent) -> None:
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))


async def run(client: LanguageClient, command: str, *arguments: Any) -> Any:
    """Run a command of the server."""
    params = types.ExecuteCommandParams(command, [*arguments])
    return await asyncio.wait_for(client.workspace_execute_command_async(params), TIMEOUT_S)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that another process makes true."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.005)


class Model:
    """What the fake server's model was asked. The server writes it to a file as each call begins."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "model.jsonl"
        self.env = {"FAKE_MODEL_LOG": str(self._log)}

    @property
    def calls(self) -> list[dict[str, Any]]:
        """``prefix``, ``suffix``, ``count``, ``healing`` and ``model`` of each call, oldest first."""
        if not self._log.exists():
            return []
        whole = self._log.read_text(encoding="ascii").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    async def begun(self, line: str) -> None:
        """Wait until the model works on a prefix that ends with ``line``."""
        await until(lambda: any(call["prefix"].endswith(line) for call in self.calls))
