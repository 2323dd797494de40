"""One call of the service over HTTP/1.1, read as events. An answer, a deadline or a cancellation ends it."""

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from engine import CancellationToken, MidtokenError, RequestError
from lsp_server.team.events import Event, EventReader
from lsp_server.team.protocol import COMPLETE, SESSION_HEADER

CONNECT_S = 2.0
MOST_IDLE = 4
LONGEST_ERROR = 65_536
Trouble = Literal["unreachable", "slow", "unauthorised", "full", "refused"]


class RemoteError(MidtokenError):
    """The service did not answer, so the local model does. ``retry_after_s`` is the pause that it asked for."""

    def __init__(self, trouble: Trouble, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.trouble, self.retry_after_s = trouble, retry_after_s


@dataclass(frozen=True, slots=True)
class Call:
    """What one call sends, and the times (`time.monotonic`) by which its first text and its end must arrive."""

    body: dict[str, Any]
    token: str
    session: str
    first_s: float
    end_s: float


class RemoteConnection:
    """Calls a service. Connections are kept for the next call. Each call runs on a thread of its own, so a slow network
    never blocks the caller.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def events(self, call: Call, cancel: CancellationToken) -> Iterator[Event]:
        """The events of one answer, up to the last. Closing the iterator closes the stream, and the service stops.

        Raises `RemoteError`, or `Cancelled` soon after a cancellation.
        """
        found: queue.SimpleQueue[Event | RemoteError | None] = queue.SimpleQueue()
        exchange = _Exchange(self, call, found)
        cancel.on_cancel(exchange.give_up)
        threading.Thread(target=exchange.run, name="midtoken-remote", daemon=True).start()
        has_text = False
        try:
            while True:
                left_s = (call.end_s if has_text else call.first_s) - time.monotonic()
                try:
                    event = found.get(timeout=max(left_s, 0.0))
                except queue.Empty:
                    raise RemoteError("slow", "the team's service takes too long") from None
                cancel.raise_if_cancelled()
                if isinstance(event, RemoteError):
                    raise event
                if event is None:
                    raise RemoteError("unreachable", "the team's service hung up")
                has_text = has_text or event.name == "text"
                yield event
                if event.name == "answer":
                    return
        finally:
            exchange.give_up()

    def take(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            self._is_closed = False
            if self._idle:
                return self._idle.pop(), True
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_S, context=self._context), False
        return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S), False

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next call."""
        with self._lock:
            if len(self._idle) < MOST_IDLE and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._is_closed = True
        for connection in idle:
            connection.close()

    @property
    def address(self) -> str:
        """The path of the address that a call posts to."""
        return f"{self._path}{COMPLETE}"


class _Exchange:
    """One request and its answer, on a thread of its own."""

    def __init__(
        self, owner: RemoteConnection, call: Call, found: "queue.SimpleQueue[Event | RemoteError | None]"
    ) -> None:
        self._owner, self._call, self._found = owner, call, found
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._over = False

    def give_up(self) -> None:
        """Close the stream at any point. Does nothing after the exchange has ended."""
        with self._lock:
            if self._over:
                return
            self._over = True
            connection, self._connection = self._connection, None
        if connection is not None and connection.sock is not None:
            with suppress(OSError, ValueError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._found.put(None)

    def run(self) -> None:
        """Run on its own thread: put the events, then None, or the error, into the queue."""
        try:
            self._exchange()
        except RemoteError as error:
            self._found.put(error)
        except RequestError as error:
            self._found.put(RemoteError("refused", str(error)))
        except TimeoutError:
            self._found.put(RemoteError("slow", "the team's service takes too long"))
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message or "unknown"
            self._found.put(RemoteError("unreachable", f"the certificate of the team's service is wrong ({reason})"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            self._found.put(RemoteError("unreachable", f"the team's service cannot be reached ({reason})"))
        finally:
            self._found.put(None)

    def _exchange(self) -> None:
        connection, response = self._ask()
        is_whole = False
        try:
            if response.status != 200:
                raise _refusal(response, response.read(LONGEST_ERROR))
            is_whole = self._read(connection, response)
        finally:
            if is_whole:
                self._owner.keep(connection)
            else:
                response.close()
                connection.close()

    def _read(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> bool:
        """Pass the events on. Returns whether the answer came and the connection can be used again."""
        reader = EventReader()
        while part := response.read1(65_536):
            for event in reader.feed(part):
                if event.name == "error":
                    raise _said(event.data, 0, None)
                is_last = event.name == "answer"
                # Before the caller has it, for then it gives up what is not over.
                is_ours = is_last and self._end()
                self._found.put(event)
                if is_last:
                    return is_ours and not response.read(1) and not response.will_close
            self._set_timeout(connection)
        return False

    def _end(self) -> bool:
        """The answer is complete. Returns whether the call was not given up before."""
        with self._lock:
            if self._over:
                return False
            self._over, self._connection = True, None
            return True

    def _ask(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            SESSION_HEADER: self._call.session,
        }
        if self._call.token:
            headers["Authorization"] = f"Bearer {self._call.token}"
        body = json.dumps(self._call.body).encode()
        while True:
            connection, was_used = self._owner.take()
            with self._lock:
                is_over = self._over
                self._connection = None if is_over else connection
            try:
                if is_over:
                    raise RemoteError("slow", "the call was given up")
                if connection.sock is None:
                    connection.connect()
                    assert connection.sock is not None
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._set_timeout(connection)
                connection.request("POST", self._owner.address, body, headers)
                return connection, connection.getresponse()
            except BaseException as error:
                connection.close()
                # The other end may have closed a kept connection meanwhile: try the next one.
                if not (was_used and isinstance(error, ConnectionError)):
                    raise

    def _set_timeout(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is not None:
            connection.sock.settimeout(max(self._call.end_s - time.monotonic(), 0.01))


def _refusal(response: http.client.HTTPResponse, body: bytes) -> RemoteError:
    try:
        said = json.loads(body)["error"]
    except (ValueError, RecursionError, KeyError, TypeError):
        said = None
    after = response.headers.get("Retry-After", "")
    return _said(
        said, response.status, float(after) if after.isascii() and after.isdigit() and len(after) < 6 else None
    )


def _said(said: object, status: int, retry_after_s: float | None) -> RemoteError:
    """The error for a refusal, in our own words if the code is known."""
    code = said.get("code") if isinstance(said, dict) else None
    message = said.get("message") if isinstance(said, dict) else None
    detail = message[:200] if isinstance(message, str) else f"status {status}"
    if code in ("unauthorised", "forbidden") or status in (401, 403):
        return RemoteError("unauthorised", f"the team's service refuses the token ({detail})", retry_after_s)
    if code in ("full", "too-many", "model", "internal") or status >= 500 or status == 429:
        return RemoteError("full", f"the team's service cannot answer now ({detail})", retry_after_s)
    return RemoteError("refused", f"the team's service refuses the request ({detail})", retry_after_s)
