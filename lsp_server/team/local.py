"""The models of a service in its own process: for tests, and for one machine without Ray."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from engine import CompletionRequest
from lsp_server.team.events import Event
from lsp_server.team.protocol import Refusal
from lsp_server.team.replica import Replica


class LocalBackend:
    """An `ingress.Backend` with its replicas in this process, by the name of their model."""

    def __init__(self, replicas: Mapping[str, Replica]) -> None:
        self._replicas = replicas

    async def complete(self, model: str, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """Complete with the one replica of the model."""
        replica = self._replicas.get(model)
        if replica is None:
            raise Refusal("model", f"the model {model} is not loaded", 1.0)
        async with aclosing(replica.complete(request, session)) as events:
            async for event in events:
                yield event

    async def describe(self, model: str) -> Mapping[str, Any] | None:
        """Describe the one replica of the model."""
        replica = self._replicas.get(model)
        return None if replica is None else replica.describe()
