"""One replica: a loaded model and its requests. It knows nothing of HTTP or of Ray."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from engine import (
    BatchFull,
    BatchingCompleter,
    CancellationToken,
    Cancelled,
    CompletionRequest,
    CompletionResult,
    MidtokenError,
    ModelInfo,
    RequestError,
)
from lsp_server.logs import describe
from lsp_server.memory import available_bytes
from lsp_server.models.lookup import model_folder
from lsp_server.models.names import name_or_path
from lsp_server.team.answers import answer_json
from lsp_server.team.config import ModelConfig
from lsp_server.team.events import Event
from lsp_server.team.protocol import Refusal

log = logging.getLogger(__name__)

RETRY_S = 0.5
MOST_PARKED_MB = 2048
"""What documents may be parked in unless the configuration says more: some hundreds of documents of a small model."""


class EngineLike(Protocol):
    """The part of `engine.BatchingCompleter` that a replica uses. Many threads may call it at once.

    The editor's server has a protocol of its own (`CompleterLike`): it reads ahead and keeps places, but has one user,
    so its requests name no document.
    """

    @property
    def info(self) -> ModelInfo:
        """What is loaded, and where it runs."""

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        document: str = "",
    ) -> CompletionResult:
        """Complete one request; blocks. Raises `BatchFull`."""


def load_engine(config: ModelConfig) -> EngineLike:
    """Load the engine of a replica; blocks. Requests of different users share its passes.

    Raises `MidtokenError` if the model cannot be loaded.
    """
    folder: Path | None = model_folder(name_or_path(config.model))
    completer = BatchingCompleter.load(
        folder,
        device=config.device,
        threads=config.threads,
        context_tokens=config.context_tokens,
        seats=config.concurrent,
        memory_mb=config.memory_mb,
        parked_mb=parked_mb(config, available_bytes()),
        most_waiting=config.waiting,
    )
    for notice in completer.notices:
        log.warning("%s: %s", config.name, notice)
    return completer


def parked_mb(config: ModelConfig, available: int | None) -> int:
    """The megabytes in which a replica may park documents, where ``available`` bytes of memory are (None: not known).

    What is for requests comes first. Of the rest it is what the configuration says, if there is that much; otherwise a
    quarter, divided among the replicas that may be on this machine, and at most `MOST_PARKED_MB`.
    """
    if available is None:
        return config.parked_mb or 0
    rest = max(0, available // 1_000_000 - config.memory_mb)
    if config.parked_mb is None:
        return min(MOST_PARKED_MB, rest // (4 * max(1, config.most_replicas)))
    if config.parked_mb > rest:
        log.warning("%s: no memory to park documents in %d MB; there are %d", config.name, config.parked_mb, rest)
    return min(config.parked_mb, rest)


class Replica:
    """Serves many clients with one model. The request of a client that leaves stops at its next pass."""

    def __init__(self, config: ModelConfig, engine: EngineLike) -> None:
        self._config = config
        self._engine = engine
        self._ongoing = 0
        self._threads = ThreadPoolExecutor(config.concurrent + config.waiting, "midtoken-replica")

    @property
    def ongoing(self) -> int:
        """Number of requests that run or wait here."""
        return self._ongoing

    def describe(self) -> dict[str, Any]:
        """What this replica runs."""
        info = self._engine.info
        return {
            "name": self._config.name,
            "model": info.name,
            "device": info.device,
            "precision": info.precision,
            "vocabulary": info.vocabulary,
            "context": info.context_length,
        }

    async def complete(self, request: CompletionRequest, session: str = "") -> AsyncGenerator[Event, None]:
        """The events of one answer: ``begun``, then ``text`` for each piece, and at last ``answer``.

        Each event costs a way between processes, so pieces that wait to be taken become one.

        Raises `Refusal`. Closing the iterator stops the engine before its next pass.
        """
        if self._ongoing >= self._config.concurrent + self._config.waiting:
            raise Refusal("full", "the service is full; come again later", RETRY_S)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        token = CancellationToken()
        written = ""

        def say(event: Event | Exception) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        def on_text(text: str) -> None:
            nonlocal written
            if text.startswith(written) and text != written:
                say(Event("text", {"written": text[len(written) :]}))
                written = text

        self._ongoing += 1
        yielded = time.monotonic()
        job = loop.run_in_executor(self._threads, self._work, request, session, token, on_text, say)
        job.add_done_callback(lambda _: self._ended())
        try:
            yield Event("begun", {"ongoing": self._ongoing, "replica": os.getpid()})
            while True:
                for event in await _waiting(events):
                    if isinstance(event, Exception):
                        raise event
                    yield event
                    if event.name == "answer":
                        return
        finally:
            token.cancel()
            job.cancel()  # a request that still waits in the queue does not begin
            log.debug("a request left after %.0f ms", (time.monotonic() - yielded) * 1000)

    def close(self) -> None:
        """Accept no more requests."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self) -> None:
        self._ongoing -= 1

    def _work(
        self,
        request: CompletionRequest,
        session: str,
        token: CancellationToken,
        on_text: Callable[[str], None],
        say: Callable[[Event | Exception], None],
    ) -> None:
        """Run one request on a thread of its own."""
        try:
            if token.cancelled:
                return
            result = self._engine.complete(request, token, on_text, document=session)
            say(Event("answer", answer_json(result, self._engine.info, self._config.name)))
        except Cancelled:
            return
        except RequestError as error:
            say(Refusal("bad-request", str(error)))
        except BatchFull as error:
            say(Refusal("full", str(error), error.retry_after_s))
        except MidtokenError as error:
            say(Refusal("model", str(error), RETRY_S))
        except MemoryError:
            say(Refusal("model", "the replica has no memory for this request; send less, or ask again", RETRY_S))
        except Exception as error:  # the service goes on after any failure
            log.error("a completion failed: %s", describe(error))
            say(Refusal("internal", "the completion failed; the log of the service says where"))


async def _waiting(events: "asyncio.Queue[Event | Exception]") -> list[Event | Exception]:
    """All events that are there, at least one. Pieces of text that follow each other are one."""
    found = [await events.get()]
    while not events.empty():
        last, event = found[-1], events.get_nowait()
        if isinstance(last, Event) and isinstance(event, Event) and last.name == event.name == "text":
            found[-1] = Event("text", {"written": last.data["written"] + event.data["written"]})
        else:
            found.append(event)
    return found
