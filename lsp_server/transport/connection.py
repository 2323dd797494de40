"""The way to the client: a thread that reads, a thread that writes, and the event loop that waits for neither."""

import asyncio
import contextlib
import select
import threading
import time
from collections import deque
from typing import BinaryIO

from lsp_server.transport.frames import read_frame
from lsp_server.transport.inbox import Inbox

MOST_UNREAD_BYTES = 1 << 20
"""While the client has left more than this unread, no message that needs an answer is handled."""
STUCK_S = 1.0
"""If a client has hung up, or asked to exit, and has read nothing for this long, we stop waiting for it."""
LOOK_S = 0.02
_CHUNK_BYTES = 1 << 16


class Connection:
    """The connection to the client, in the form of pygls's writer. Once it is lost or closed, written data is
    dropped.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO, *first: bytes) -> None:
        """``first`` are messages that were read from ``source`` before."""
        self._source = source
        self._sink = sink
        self._inbox = Inbox(self._hung_up)
        for body in first:
            self._inbox.put(body)
        self._outbox: deque[bytes] = deque()
        self._unread = 0
        self._progressed = time.monotonic()
        self._to_write = threading.Condition()
        self._open = True

    @property
    def unread_bytes(self) -> int:
        """Bytes that were written and are not sent to the client yet."""
        return self._unread

    def start(self) -> None:
        """Begin to read and to write, on threads: neither can be cancelled, and neither may block the event loop."""
        self._inbox.open(asyncio.get_running_loop())
        threading.Thread(target=self._read_all, name="midtoken-reader", daemon=True).start()
        threading.Thread(target=self._write_all, name="midtoken-writer", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Send the bytes of one message, when their turn comes."""
        with self._to_write:
            if self._open:
                if not self._unread:
                    self._progressed = time.monotonic()
                self._outbox.append(data)
                self._unread += len(data)
                self._to_write.notify()

    async def receive(self) -> bytes | None:
        """The body of the next message, once the client has read enough of what was sent. None when it is gone."""
        body = await self._inbox.get()
        while body is not None and self._unread > MOST_UNREAD_BYTES:
            if self._is_given_up():
                return None
            await asyncio.sleep(LOOK_S)
        return body

    async def finish(self) -> None:
        """Send what is left, as long as the client reads, and close."""
        while self._unread and self._open and not self._is_stuck():
            await asyncio.sleep(LOOK_S / 10)
        self.close()

    def close(self) -> None:
        """Send nothing from now on. Reading ends when the client closes its stream."""
        with self._to_write:
            self._open = False
            self._to_write.notify()

    def _is_given_up(self) -> bool:
        return self._inbox.ended and self._is_stuck()

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._progressed > STUCK_S

    def _hung_up(self) -> bool:
        """Whether the client closed its end, even if not everything that it sent was read. False if that is not
        known.
        """
        poll, hang_up = getattr(select, "poll", None), getattr(select, "POLLRDHUP", 0)
        if poll is None:
            return False
        try:
            poller = poll()
            poller.register(self._source.fileno(), hang_up)  # a closed pipe is reported in any case
            return bool(poller.poll(0))
        except (OSError, ValueError):  # not a file that can be watched
            return False

    def _read_all(self) -> None:
        while True:
            try:
                body = read_frame(self._source)
            except (OSError, ValueError):  # reset by the client
                body = None
            if body is None:
                break
            self._inbox.put(body)
        self._inbox.end()
        self._source.close()

    def _write_all(self) -> None:
        try:
            while (data := self._next()) is not None:
                self._send(data)
        except (OSError, ValueError):  # the client has left
            self._inbox.abandon()
        with self._to_write:
            self._open = False
            self._outbox.clear()
            self._unread = 0
        with contextlib.suppress(OSError, ValueError):
            self._sink.close()

    def _next(self) -> bytes | None:
        with self._to_write:
            while self._open and not self._outbox:
                self._to_write.wait()
            return self._outbox.popleft() if self._outbox and self._open else None

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = self._sink.write(rest[:_CHUNK_BYTES])
            self._sink.flush()
            if written is None:  # a pipe that does not block, and is full
                select.select((), (self._sink.fileno(),), (), STUCK_S)
                continue
            rest = rest[written:]
            with self._to_write:
                self._unread -= written
                self._progressed = time.monotonic()
