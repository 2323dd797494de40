"""A client of ``POST /v1/complete`` for thousands of users in one process: HTTP/1.1 with events, on asyncio.

It sends what the editor's client (`lsp_server.remote.connection`) sends, keeps connections, and closes the one whose
answer is no longer wanted. That client has a thread for each call, which a thousand users would pay for.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lsp_server.team.events import EventReader
from lsp_server.team.protocol import COMPLETE, SESSION_HEADER

READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: ``status`` is that of HTTP, 0 where the connection failed; ``code`` is that of an
    error, empty for an answer. Seconds count from the sending.
    """

    status: int
    code: str
    answer: Mapping[str, Any]
    seconds: float
    first_s: float | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the service answered with completions."""
        return self.status == 200 and not self.code


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class StreamClient:
    """Asks one service. Cancelling the task that awaits `complete` closes the stream, and the service stops."""

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {COMPLETE} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
        )
        self._head += "Accept: text/event-stream\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
        self._idle: list[_Connection] = []

    async def complete(self, body: Mapping[str, Any], session: str) -> Reply:
        """Ask for the completion in ``body``, as events. Never raises for what the service or the network does."""
        began = time.perf_counter()
        data = json.dumps(body).encode()
        head = f"{self._head}{SESSION_HEADER}: {session}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        while True:
            was_used = bool(self._idle)
            connection: _Connection | None = None
            is_whole = False
            try:
                connection = self._idle.pop() if was_used else await self._open()
                connection.writer.write(head + data)
                reply, is_whole = await _read(connection.reader, began)
                return reply
            except (OSError, EOFError, ValueError) as error:
                if not was_used:  # one that was kept may have been closed at the other end meanwhile
                    return Reply(0, type(error).__name__, {}, time.perf_counter() - began)
            finally:
                if connection is not None:
                    self._put_away(connection, is_whole)

    def close(self) -> None:
        """Close the connections that were kept."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _open(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self._host, self._port, limit=READ_BYTES))

    def _put_away(self, connection: _Connection, is_whole: bool) -> None:
        if is_whole:
            self._idle.append(connection)
        else:
            connection.writer.transport.abort()


async def _read(reader: asyncio.StreamReader, began: float) -> tuple[Reply, bool]:
    """The reply, and whether the connection may take the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(maxsplit=2)[1])
    may_stay = "connection: close" not in head
    if "transfer-encoding: chunked" not in head:
        length = int(head.partition("content-length:")[2].split("\r\n", 1)[0])
        body = json.loads(await reader.readexactly(length))
        return Reply(status, body["error"]["code"], {}, time.perf_counter() - began), may_stay
    events, code = EventReader(), "no-answer"
    first_s: float | None = None
    seconds = 0.0
    answer: Mapping[str, Any] = {}
    while part := await _chunk(reader):
        for event in events.feed(part):
            if event.name == "text" and first_s is None:
                first_s = time.perf_counter() - began
            if event.name == "error":
                code = event.data["code"]
            if event.name == "answer":
                answer, code = event.data, ""
                seconds = time.perf_counter() - began
    return Reply(status, code, answer, seconds or time.perf_counter() - began, first_s), may_stay


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of a body; empty at its end."""
    size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
    return (await reader.readexactly(size + 2))[:size]
