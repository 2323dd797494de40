"""What stands before the ingress in each of Serve's proxies: bounds on the time and the size of a request's head.

uvicorn has neither. Serve calls `prepare` when a proxy starts, before its server: see `silence.ON_THIS_MACHINE`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn.config
from prometheus_client import CollectorRegistry, Counter, generate_latest
from starlette.middleware import Middleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lsp_server.team.protocol import METRICS, Refusal

HEAD_S = 10.0
LARGEST_HEAD = 32 << 10
_REASONS = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large"}

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Front:
    """The bounds of one proxy, and what it counts: connections whose head was too slow, too large or no HTTP."""

    registry: CollectorRegistry
    refusals: Counter
    head_s: float
    largest_head: int

    @classmethod
    def create(cls, head_s: float = HEAD_S, largest_head: int = LARGEST_HEAD) -> "Front":
        """Nothing was refused yet."""
        registry = CollectorRegistry()
        what = "Connections refused before their request was whole"
        return cls(
            registry, Counter("midtoken_front_refusals", what, ("code",), registry=registry), head_s, largest_head
        )


def prepare() -> list[Middleware]:
    """Put the bounds into the server that starts next in this process; give what the proxy wraps around its handler."""
    front = Front.create()
    uvicorn.config.HTTP_PROTOCOLS["auto"] = partial(BoundedProtocol, front)  # type: ignore[assignment]  # takes either
    return [Middleware(FrontFigures, front=front)]


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests must have their whole head in time, from its beginning or from their first byte."""

    def __init__(self, front: Front, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._front = front
        self._is_head = True
        self._head_bytes = 0
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn has the narrower type
        self._due = self.loop.call_later(self._front.head_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_due()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_head and self._due is None:
            self._due = self.loop.call_later(self._front.head_s, self._late)
        self._head_bytes += len(data)
        super().data_received(data)
        if self._is_head and self._head_bytes > self._front.largest_head:
            self._refuse(Refusal("too-large", f"a head has at most {self._front.largest_head} bytes"))

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._unset_due()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_head, self._head_bytes = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal("bad-request", "this is no HTTP/1.1"))

    def _unset_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._refuse(Refusal("timeout", f"the head did not arrive within {self._front.head_s:g} s; send it at once"))

    def _refuse(self, error: Refusal) -> None:
        self._unset_due()
        self._front.refusals.labels(error.code).inc()
        if self.cycle is None or self.cycle.response_complete:  # else an answer is on its way
            body = json.dumps(error.to_json()).encode()
            self.transport.write(
                f"HTTP/1.1 {error.status} {_REASONS[error.status]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
        self.transport.close()


class FrontFigures:
    """Puts what the proxy counts behind what the ingress answers at ``/metrics``."""

    def __init__(self, app: App, front: Front) -> None:
        self._app, self._front = app, front

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        is_figures = scope["type"] == "http" and scope["path"] == METRICS
        is_good = False

        async def send_more(message: Message) -> None:
            nonlocal is_good
            if message["type"] == "http.response.start":
                is_good = message["status"] == 200
                if is_good:  # it becomes longer
                    named = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
                    message = {**message, "headers": named}
            elif is_good and not message.get("more_body"):
                message = {**message, "body": message.get("body", b"") + generate_latest(self._front.registry)}
            await send(message)

        await self._app(scope, receive, send_more if is_figures else send)
