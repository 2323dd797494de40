"""The way in for many users at once: the interface of `Completer`, safe to call from many threads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.batching.scheduler import PATIENCE_S, Scheduler
from engine.batching.seat_session import SeatSession
from engine.batching.seats import Seats
from engine.completer import DEFAULT_CONTEXT_TOKENS, Completer
from engine.config import DeviceChoice
from engine.loading import BUNDLED_MODEL, load_model
from engine.model_folder.contract import Clause
from engine.model_folder.manifest import Manifest
from engine.runtime.session import ModelSession, SavingSession
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest, CompletionResult, ModelInfo

MOST_SEATS = 16
"""Requests that run at once. On a CPU, a wider pass is no cheaper for each of its rows."""
MEMORY_MB = 2048
"""Memory that keys and values may take."""
MOST_WAITING = 64
LEAST_BUDGET_MS = 0.001
"""The rest of a time budget that ran out in line. The answer is then empty, as for any budget that runs out."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What a `BatchingCompleter` has done since it was made, and its present requests.

    ``requests`` were answered, ``refused`` found it full. Their prompts had ``prompt_tokens``, of which
    ``reused_tokens`` were in a slot already. ``steps`` passes of single tokens had ``step_rows`` rows for requests, and
    ``idle_rows`` for none; ``chunks`` passes read ``chunk_tokens`` tokens of prompts. ``active`` requests have one of
    the ``seats``, ``waiting`` ones stand in line.
    """

    requests: int
    refused: int
    prompt_tokens: int
    reused_tokens: int
    steps: int
    step_rows: int
    idle_rows: int
    chunks: int
    chunk_tokens: int
    seats: int
    active: int
    waiting: int

    @property
    def mean_batch(self) -> float:
        """Requests in a pass of single tokens, on average; 0 before the first."""
        return self.step_rows / self.steps if self.steps else 0.0

    @property
    def cache_share(self) -> float:
        """The share of prompt tokens that were in a slot already, 0 to 1."""
        return self.reused_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class BatchingCompleter:
    """A loaded model for many requests at once, called from a thread for each.

    Every request has a seat: a slot of keys and values, and an ordinary `Completer` over it. So it is completed as if
    it were alone; only its forward passes meet those of others (`engine.batching.scheduler`). No drafts are made
    (`CompletionRequest.speculation`), because their rows would be taken from other users.
    """

    def __init__(
        self,
        model: Completer,
        session: ModelSession,
        *,
        seats: int = MOST_SEATS,
        most_waiting: int = MOST_WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Serve ``model`` with the slots of ``session``, as many as there are up to ``seats``. The session belongs to
        this from now on: nothing else may run in its slots.
        """
        self._model = model
        self._scheduler = Scheduler(session, patience_s=patience_s)
        count = max(1, min(seats, session.slots))
        completers = [_at_seat(model, SeatSession(self._scheduler, session, slot)) for slot in range(count)]
        self._seats = Seats(completers, most_waiting)
        self._lock = threading.Lock()
        self._requests = self._prompt_tokens = self._reused_tokens = 0

    @classmethod
    def load(
        cls,
        model_dir: Path | None = None,
        *,
        device: DeviceChoice = "auto",
        threads: int | None = None,
        context_tokens: int = DEFAULT_CONTEXT_TOKENS,
        seats: int = MOST_SEATS,
        memory_mb: int = MEMORY_MB,
        most_waiting: int = MOST_WAITING,
    ) -> "BatchingCompleter":
        """Load a model folder as `Completer.load` does, with up to ``seats`` slots of ``context_tokens`` positions, as
        many as fit into ``memory_mb`` megabytes, at least one. More than one needs a graph whose keys and values lie in
        shared buffers, and the CPU; with one, requests take turns. ``most_waiting`` requests may stand in line.
        """
        folder = BUNDLED_MODEL if model_dir is None else Path(model_dir)
        loaded = load_model(folder, device, threads, context_tokens, slots=seats)
        session = loaded.session
        fitting = memory_mb * 1_000_000 // (_slot_bytes(session) or 1)
        model = Completer.of(loaded, folder)
        return cls(model, session, seats=max(1, min(seats, fitting)), most_waiting=most_waiting)

    @property
    def info(self) -> ModelInfo:
        """What is loaded, and where it runs."""
        return self._model.info

    @property
    def manifest(self) -> Manifest:
        """The model folder's manifest."""
        return self._model.manifest

    @property
    def contract(self) -> tuple[Clause, ...]:
        """What was checked of tokenizer and model, clause by clause."""
        return self._model.contract

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer with its vocabulary, for inspection."""
        return self._model.tokenizer

    @property
    def notices(self) -> tuple[str, ...]:
        """Lines for the user, from loading."""
        return self._model.notices

    @property
    def statistics(self) -> BatchStatistics:
        """Counts of what it has done so far."""
        counts = self._scheduler.counts
        return BatchStatistics(
            requests=self._requests,
            refused=self._seats.refused,
            prompt_tokens=self._prompt_tokens,
            reused_tokens=self._reused_tokens,
            steps=counts.steps,
            step_rows=counts.step_rows,
            idle_rows=counts.idle_rows,
            chunks=counts.chunks,
            chunk_tokens=counts.chunk_tokens,
            seats=len(self._seats),
            active=self._seats.taken,
            waiting=self._seats.waiting,
        )

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        session: str = "",
    ) -> CompletionResult:
        """See `Completer.complete`, which this is for many callers at once.

        ``session`` names the document that is completed, of whichever user: its keys and values stay for its next
        request until the seat is wanted for another that was used later. Raises `BatchFull` too, where all seats are
        taken and the line is full. A time budget counts from now, the time in line included.
        """
        cancel = cancel or CancellationToken()
        arrived = time.monotonic()
        with self._seats.sit(session, cancel) as completer, self._scheduler.active():
            cancel.raise_if_cancelled()
            result = completer.complete(_hurried(request, time.monotonic() - arrived), cancel, self._aside(on_text))
        with self._lock:
            self._requests += 1
            self._prompt_tokens += result.prompt_tokens
            self._reused_tokens += min(result.reused_tokens, result.prompt_tokens)
        return result

    def read(
        self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0, *, session: str = ""
    ) -> None:
        """See `Completer.read`; ``session`` as for `complete`. Raises `BatchFull` too."""
        with self._seats.sit(session, cancel) as completer:
            completer.read(request, cancel, rest)

    def _aside(self, on_text: Callable[[str], None] | None) -> Callable[[str], None] | None:
        """``on_text``, wrapped so that only its own request waits for it to return."""
        if on_text is None:
            return None

        def show(text: str) -> None:
            with self._scheduler.away():
                on_text(text)

        return show


def _at_seat(model: Completer, seat: SeatSession) -> Completer:
    return model.beside(seat, lambda: seat.seconds)


def _hurried(request: CompletionRequest, waited_s: float) -> CompletionRequest:
    budget = request.budget_ms
    if budget is not None:
        budget = max(LEAST_BUDGET_MS, budget - waited_s * 1000)
    return replace(request, speculation="off", budget_ms=budget)


def _slot_bytes(session: ModelSession) -> int:
    return session.position_bytes * session.context_length if isinstance(session, SavingSession) else 0
