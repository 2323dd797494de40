"""Bytes in and out: message framing, standard input and output, and one TCP client.

pygls has all of this, but its reader loses the message after a malformed one, hands a message on before the handler
of the one before it has begun, and turns every exit status into 0.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 1 << 16
MAX_BODY_BYTES = 1 << 28
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})[ \t]*\r?\n$", re.IGNORECASE)
_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*\r?\n$")


def read_frame(stream: BinaryIO) -> bytes | None:
    """The body of the next message; None at the end of the stream, also in the middle of a message.

    After anything malformed, which it logs, it picks up at the next ``Content-Length``, even one that stands right
    behind the body of a message that had none.
    """
    length: int | None = None
    while line := stream.readline(MAX_HEADER_BYTES):
        match = _LENGTH.search(line)
        if match is not None:
            length = int(match[1])
        if not line.strip(b"\r\n"):
            if length is not None and length <= MAX_BODY_BYTES:
                return _read_body(stream, length)
            what = "no Content-Length" if length is None else f"more than {MAX_BODY_BYTES} bytes"
            log.warning("a message has %s; it is skipped", what)
            length = None
        elif match.start() > 0 if match else not _HEADER.match(line):
            log.warning("there is something that is no header where a message should begin; it is skipped")
    return None


def _read_body(stream: BinaryIO, length: int) -> bytes | None:
    body = stream.read(length)
    return body if len(body) == length else None


class Connection:
    """The way to the client, as pygls wants its writer. Once it is lost or closed, what is written goes nowhere."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._open = True
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()

    def write(self, data: bytes) -> None:
        """Send the bytes of one message."""
        if not self._open:
            return
        try:
            self._sink.write(data)
            self._sink.flush()
        except (OSError, ValueError):
            self._open = False
            self._inbox.put_nowait(None)

    def close(self) -> None:
        """Send nothing from now on. What is read ends with the client's end of the stream."""
        self._open = False
        with contextlib.suppress(OSError, ValueError):
            self._sink.close()

    async def receive(self) -> bytes | None:
        """The body of the next message; None when the client is gone."""
        return await self._inbox.get()

    def start_reading(self) -> None:
        """Begin to read, on a thread of its own: a blocking read cannot be called off, and must hold up nobody."""
        loop = asyncio.get_running_loop()

        def deliver(body: bytes | None) -> None:
            loop.call_soon_threadsafe(self._inbox.put_nowait, body)

        threading.Thread(target=_read_all, args=(self._source, deliver), name="midtoken-reader", daemon=True).start()


def _read_all(source: BinaryIO, deliver: Callable[[bytes | None], None]) -> None:
    body: bytes | None = b""
    while body is not None:
        try:
            body = read_frame(source)
        except (OSError, ValueError):  # reset by the client
            body = None
        if body is None:
            source.close()
        try:
            deliver(body)
        except RuntimeError:  # the event loop has ended
            return


def claim_standard_streams() -> Connection:
    """Take standard input and output for the protocol, and leave nothing in their place that could disturb it.

    From here on whatever prints, native libraries included, prints on standard error, and whatever reads standard
    input finds it empty. Raises OSError if one of the two is closed.
    """
    if sys.stdin is None or sys.stdout is None:
        raise OSError("standard input or output is closed")
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)  # takes the free descriptor 2, so that no stream of ours gets it
    elif sys.stdin.isatty():
        log.info("waiting for an editor on standard input; see 'midtoken serve --help'")
    sys.stdout.flush()
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return Connection(source, sink)


def loopback_family(host: str) -> socket.AddressFamily | None:
    """The address family of a loopback address or ``localhost``; None for any other host."""
    if host.lower() == "localhost":
        return socket.AF_INET
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


def accept_client(host: str, port: int, family: socket.AddressFamily) -> Connection:
    """Wait for the one client of a TCP server; whoever comes later is refused. Raises OSError if it cannot listen."""
    with socket.create_server((host, port), family=family, backlog=1) as listener:
        log.info("listening on %s port %d", host, listener.getsockname()[1])
        client, _ = listener.accept()
    with client:  # the two streams keep the connection open
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(client.makefile("rb"), client.makefile("wb"))
