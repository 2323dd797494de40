"""The service within Serve's HTTP proxy: a request goes from the proxy straight to a replica.

Serve's own way leads from the proxy to the ingress deployment and from there to the replica. It costs one process more,
and every event of an answer passes through Ray once more. The ingress remains: proxies ask it for the configuration,
and it answers where a proxy cannot.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from lsp_server.logs import describe
from lsp_server.team.config import TeamConfig
from lsp_server.team.front import App, Message, Send
from lsp_server.team.ingress import Backend, Service, create_app
from lsp_server.team.metrics import Metrics
from lsp_server.team.protocol import Refusal
from lsp_server.team.replica import RETRY_S
from lsp_server.team.tokens import Tokens

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How long a proxy may still work as the configuration was before."""
SERVES_OWN = "/-/"
"""Serve answers these addresses itself: they say whether the proxy lives."""


class Source(Protocol):
    """Where a proxy learns what it serves."""

    @property
    def backend(self) -> Backend:
        """Access to the models."""

    async def config(self) -> TeamConfig | None:
        """The configuration of the service that runs; None if none runs. Any error means that this is not known now."""


class InProxy:
    """Answers requests with the service that ``source`` names, and leaves the rest to ``app``, which is Serve's."""

    def __init__(self, app: App, source: Source, look_s: float = LOOK_S) -> None:
        self._app, self._source, self._look_s = app, source, look_s
        self._metrics = Metrics.create()
        self._service: Service | None = None
        self._answers: App | None = None
        self._ongoing = 0
        self._looking = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        if scope["type"] != "http" or scope["path"].startswith(SERVES_OWN):
            return await self._app(scope, receive, send)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        if self._service is None:
            await self._look(is_first=True)
        service, answers = self._service, self._answers
        if service is None or answers is None:
            return await self._app(scope, receive, send)
        if self._ongoing >= service.config.limits.connections:
            answers = service.refused(Refusal("full", "the service is full; come again later", RETRY_S))
        self._ongoing += 1
        try:
            return await answers(scope, receive, send)
        finally:
            self._ongoing -= 1

    async def _watch(self) -> None:
        """Follow the configuration for as long as this process lives."""
        while True:
            await asyncio.sleep(self._look_s)
            await self._look()

    async def _look(self, is_first: bool = False) -> None:
        async with self._looking:
            if is_first and self._service is not None:
                return  # somebody else has looked meanwhile
            try:
                self._take(await self._source.config())
            except Exception as error:  # whatever Ray says: what was served before is served on
                log.warning("the configuration is not known: %s", describe(error))

    def _take(self, config: TeamConfig | None) -> None:
        if config is None:
            self._service = self._answers = None
        elif self._service is None or config != self._service.config:
            self._service = Service(config, self._source.backend, Tokens(config.tokens), self._metrics)
            self._answers = create_app(self._service)
