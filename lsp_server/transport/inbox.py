"""Messages of the client that are not handled yet. Bounded, however fast the client sends."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

COMPACTED_FROM_BYTES = 1 << 20
MOST_WAITING_BYTES = 16 << 20
"""If more bytes wait, nothing more is read until some are handled. A single message may be larger."""
LOOK_S = 0.1
"""Seconds between two checks, by a reader that waits, whether the client is still there."""
_EXIT_BYTES = 200
_OPEN, _CHANGE, _CLOSE = "textDocument/didOpen", "textDocument/didChange", "textDocument/didClose"
_LAST_ONE_COUNTS = ("workspace/didChangeConfiguration", "$/setTrace")


class Inbox:
    """Messages from the reader's thread to the event loop, in order.

    When many messages wait, changes of one document are joined, and messages that a later one makes void are dropped.
    If there are still too many, the reader waits, and so does the client.
    """

    def __init__(self, hung_up: Callable[[], bool] = lambda: False) -> None:
        self._hung_up = hung_up
        self._bodies: deque[bytes] = deque()
        self._bytes = 0
        self._compact_at = COMPACTED_FROM_BYTES
        self._room = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._closed = False
        self.ended = False
        """No further message has to be waited for: the stream ended, the client hung up, or it asked to exit."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the messages that wait."""
        return self._bytes

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, ``loop`` takes the messages."""
        self._loop = loop

    def put(self, body: bytes) -> None:
        """On the reader's thread: add a message; blocks while there are too many."""
        with self._room:
            if len(body) <= _EXIT_BYTES and b'"exit"' in body:
                self.ended = True
            self._bodies.append(body)
            self._bytes += len(body)
            if self._bytes > self._compact_at:
                self._compact()
            self._tell()
            while self._bytes > MOST_WAITING_BYTES and not self._closed:
                self.ended = self.ended or self._hung_up()
                self._room.wait(LOOK_S)

    def end(self) -> None:
        """No more messages will come."""
        with self._room:
            self.ended = self._closed = True
            self._tell()

    def abandon(self) -> None:
        """The client cannot be answered any longer, so drop all waiting messages."""
        with self._room:
            self._bodies.clear()
            self._bytes = 0
        self.end()

    async def get(self) -> bytes | None:
        """The next message; None after the last one."""
        while True:
            with self._room:
                if self._bodies:
                    body = self._bodies.popleft()
                    self._bytes -= len(body)
                    self._room.notify()
                    return body
                if self._closed:
                    return None
                self._news.clear()
            await self._news.wait()

    def _compact(self) -> None:
        self._bodies = deque(compacted(self._bodies))
        self._bytes = sum(map(len, self._bodies))
        self._compact_at = max(COMPACTED_FROM_BYTES, 2 * self._bytes)

    def _tell(self) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the event loop has ended
                self._closed = True


def compacted(bodies: Iterable[bytes]) -> list[bytes]:
    """The messages without those that have no effect, and with consecutive changes joined.

    Opening or changing a document has no effect if a later message has its whole text or closes it, and no other
    message about it comes in between. A request in between must be answered for the text of its time.
    """
    kept: list[_Message] = []
    last: dict[str, _Message] = {}  # by document: the last message about it, if that only gives its text
    for body in bodies:
        message = _read(body)
        before = last.pop(message.key, None)
        if message.sets_all:
            if before is not None and (before.method == _CHANGE or message.method != _CHANGE):
                before.is_void = before.method != _CLOSE
        elif message.changes is not None and before is not None and before.changes is not None:
            before.is_void = True
            message.changes = before.changes  # grown in place: each change is looked at once
            message.changes += message.content["params"]["contentChanges"]
            message.content["params"]["contentChanges"] = message.changes
            message.is_merged = True
        if message.method:
            last[message.key] = message
        kept.append(message)
    return [message.as_bytes() for message in kept if not message.is_void]


@dataclass(slots=True)
class _Message:
    """What must be known about a message here. ``method`` is empty unless it gives a text or settings; ``key`` is its
    document; ``sets_all`` says that earlier messages about it do not matter.
    """

    body: bytes
    method: str = ""
    key: str = ""
    content: Any = None
    changes: list[Any] | None = None
    sets_all: bool = False
    is_void: bool = False
    is_merged: bool = False

    def as_bytes(self) -> bytes:
        return json.dumps(self.content).encode("ascii") if self.is_merged else self.body


def _read(body: bytes) -> _Message:
    try:
        content = json.loads(body)
        method, params = content["method"], content["params"]
        if method in _LAST_ONE_COUNTS and "id" not in content:
            return _Message(body, method, f"\0{method}", sets_all=True)
        uri = params["textDocument"]["uri"]
        if not isinstance(uri, str):
            return _Message(body)
        if "id" in content or method not in (_OPEN, _CHANGE, _CLOSE):
            return _Message(body, key=uri)  # a request, or an unknown message: earlier changes must be kept
        if method != _CHANGE:
            return _Message(body, method, uri, sets_all=True)
        changes = params["contentChanges"]
        if not isinstance(changes, list):
            return _Message(body, key=uri)
        return _Message(body, method, uri, content, list(changes), _sets_all(changes))
    except (ValueError, RecursionError, KeyError, TypeError):
        return _Message(body)


def _sets_all(changes: list[Any]) -> bool:
    """Whether the first of the changes is a whole text."""
    first = changes[0] if changes else None
    return isinstance(first, dict) and isinstance(first.get("text"), str) and first.get("range") is None
