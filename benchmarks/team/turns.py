"""The other side of the comparison: a replica that lets one request in at a time, and is otherwise the same.

Each document still has keys and values of its own, so only the shared passes are missing.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from engine import CancellationToken, CompletionRequest, CompletionResult, ModelInfo
from engine.batching.seats import Seats
from lsp_server.team.application import ModelReplica
from lsp_server.team.config import ModelConfig
from lsp_server.team.replica import EngineLike, Replica, load_engine

OFF, ON = "off", "on"


class InTurns:
    """An engine that serves one request after the other, first come, first served."""

    def __init__(self, engine: EngineLike, most_waiting: int) -> None:
        self._engine = engine
        self._turns = Seats([None], most_waiting)

    @property
    def info(self) -> ModelInfo:
        """See `EngineLike`."""
        return self._engine.info

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        document: str = "",
    ) -> CompletionResult:
        """See `EngineLike`."""
        cancel = cancel or CancellationToken()
        arrived = time.monotonic()
        with self._turns.sit("", cancel):
            waited_s = time.monotonic() - arrived
            result = self._engine.complete(request, cancel, on_text, document=document)
        return replace(result, sharing=replace(result.sharing, in_line_ms=waited_s * 1000))


class TurnsReplica(ModelReplica):
    """Shares passes, except for the model that is named `OFF`."""

    def __init__(self, config: ModelConfig) -> None:
        engine = load_engine(config)
        self._replica = Replica(
            config, InTurns(engine, config.concurrent + config.waiting) if config.name == OFF else engine
        )
