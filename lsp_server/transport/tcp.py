"""A client over TCP, on a loopback address only, and only one that knows the token.

Every program on the machine can reach a loopback port, other users' too, and so can every page in a web browser. So the
first message must be ``initialize`` with the token in its ``initializationOptions``, in frames of the protocol from the
first byte on, which no browser sends. After refusing a connection, the server continues to wait.
"""

import hmac
import ipaddress
import json
import logging
import queue
import re
import secrets
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from lsp_server.transport.connection import Connection
from lsp_server.transport.frames import framed

log = logging.getLogger(__name__)

TOKEN = "token"
"""The name of the token in ``initializationOptions``."""
LEAST_TOKEN_CHARACTERS = 16
INTRODUCTION_S = 10.0
MOST_STRANGERS = 16
"""Limit for simultaneous connections that have not shown the token."""
LONGEST_INTRODUCTION = 1 << 20
LOOK_S = 0.05
_HEADER = re.compile(rb"content-(length|type):[^\r\n]*\r?\n", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,9})[ \t]*\r?\n", re.IGNORECASE)
_REFUSAL = "the token is missing or wrong: give the one that the server printed, or that of its file, as 'token'"


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


def read_token(path: Path) -> str:
    """The token in a file. Raises OSError or ValueError, whose texts say what to do, if it cannot be used."""
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        raise ValueError(f"others can read {path}; make it yours alone (chmod 600)")
    token = path.read_text(encoding="ascii").strip()
    if len(token) < LEAST_TOKEN_CHARACTERS:
        raise ValueError(f"the token in {path} is too short; give at least {LEAST_TOKEN_CHARACTERS} characters")
    return token


def accept_client(host: str, port: int, family: socket.AddressFamily, token: str | None = None) -> Connection:
    """Wait for the first client that shows the token, and refuse all others from then on.

    Without a token, one is made up and printed. Raises OSError if it cannot listen.
    """
    printed = "" if token else f", token {(token := secrets.token_urlsafe(24))}"
    assert token is not None
    found: queue.SimpleQueue[Connection] = queue.SimpleQueue()
    strangers = threading.BoundedSemaphore(MOST_STRANGERS)
    with socket.create_server((host, port), family=family, backlog=MOST_STRANGERS) as listener:
        listener.settimeout(LOOK_S)
        log.info("listening on %s port %d%s", host, listener.getsockname()[1], printed)
        while True:
            with suppress(queue.Empty):
                return found.get_nowait()
            with suppress(TimeoutError):
                client, _ = listener.accept()
                if strangers.acquire(blocking=False):
                    threading.Thread(target=_meet, args=(client, token, found, strangers), daemon=True).start()
                else:
                    client.close()


def _meet(
    client: socket.socket, token: str, found: "queue.SimpleQueue[Connection]", strangers: threading.BoundedSemaphore
) -> None:
    """Let a client introduce itself; only one that shows the token is kept."""
    out_of_patience = threading.Timer(INTRODUCTION_S, _hang_up, (client,))
    out_of_patience.daemon = True
    out_of_patience.start()
    try:
        with client:  # the two streams keep the connection open
            source = client.makefile("rb")
            body = _introduction(source)
            if body is None:
                log.warning("a connection that does not speak the protocol, as of a web browser, was refused")
                return
            number, shown = _token_in(body)
            if not hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode()):
                log.warning("a client that did not show the token was refused")
                client.sendall(_refusal(number))
                _part(client)
                return
            client.settimeout(None)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.put(Connection(source, cast(BinaryIO, client.makefile("wb", buffering=0)), body))
    except OSError as error:
        log.warning("a connection was lost before it showed the token (%s)", error.strerror or "closed")
    finally:
        out_of_patience.cancel()
        strangers.release()


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _part(client: socket.socket) -> None:
    """Let the client read its answer. If we closed with unread input, the connection would be reset."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(1.0)
    for _ in range(MOST_STRANGERS):
        if not client.recv(1 << 16):
            return


def _introduction(source: BinaryIO) -> bytes | None:
    """The body of the first message; None for anything that is not a frame of the protocol."""
    length: int | None = None
    for _ in range(8):
        line = source.readline(1024)
        if not line.strip(b"\r\n"):
            break
        if not _HEADER.fullmatch(line):
            return None
        match = _LENGTH.fullmatch(line)
        length = int(match[1]) if match else length
    if length is None or length > LONGEST_INTRODUCTION:
        return None
    body = source.read(length)
    return body if len(body) == length else None


def _token_in(body: bytes) -> tuple[int | str | None, str]:
    """The id of the request, and the token that it shows; empty if it shows none."""
    try:
        message: Any = json.loads(body)
        number = message.get("id")
        number = number if isinstance(number, int | str) else None
        token = message["params"]["initializationOptions"][TOKEN] if message.get("method") == "initialize" else ""
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None, ""
    return number, token if isinstance(token, str) else ""


def _refusal(number: int | str | None) -> bytes:
    reply = {"jsonrpc": "2.0", "id": number, "error": {"code": -32600, "message": _REFUSAL}}
    return framed(json.dumps(reply).encode("ascii"))
