"""A replica whose model is a `WaitingGpu`: what Serve runs to measure ingress and router."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any

from benchmarks.team.gpu_cost import GpuCost
from benchmarks.team.waiting_gpu import OPENING, POSITIONS, WRITTEN, WaitingGpu
from engine import CompletionRequest
from lsp_server.team.config import ModelConfig
from lsp_server.team.events import Event

TEXT = "return self.value"


class WaitingReplica:
    """Has the interface of `lsp_server.team.application.ModelReplica`. The number after the last ``-`` in the model's
    name says how many times slower than the GPU it waits; 0 does not wait at all.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._slow = float(config.name.rpartition("-")[2])
        self._gpu = WaitingGpu(GpuCost(), self._wait)
        self._ongoing = 0

    async def complete(self, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """See `ModelReplica.complete`. ``timing_ms`` holds the time that the request was here."""
        began = time.perf_counter()
        self._ongoing += 1
        try:
            yield Event("begun", {"ongoing": self._ongoing, "replica": os.getpid()})
            if request.language == OPENING:
                self._gpu.know(session)
                yield Event("answer", _answer(0.0, POSITIONS, 0, 0))
                return
            sequence, reused = await self._gpu.complete(session)
            yield Event("text", {"written": TEXT})
            total_ms = (time.perf_counter() - began) * 1000
            yield Event("answer", _answer(total_ms, reused, sequence.passes, sequence.rows))
        finally:
            self._ongoing -= 1

    async def describe(self) -> dict[str, Any]:
        """See `ModelReplica.describe`."""
        return {"name": "waiting"}

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._slow)


def _answer(total_ms: float, reused: int, passes: int, rows: int) -> dict[str, Any]:
    timing = dict.fromkeys(("tokenize", "heal", "prefill", "decode"), 0.0)
    usage = {"prompt_tokens": POSITIONS, "reused_tokens": reused, "is_partial": False, "in_line_ms": 0.0}
    return {
        "completions": [{"text": TEXT, "tokens": WRITTEN}],
        "timing_ms": {**timing, "total": total_ms, "replica": os.getpid()},
        "usage": {**usage, "passes": passes, "rows": rows, "parked": 0, "restored_tokens": 0},
    }
