"""The entry point for many users at once: the interface of `Completer`, safe to call from many threads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.batching.pass_queue import WIDEST_GAP
from engine.batching.scheduler import PATIENCE_S, Scheduler
from engine.batching.seat_session import SeatSession
from engine.batching.seats import Seats
from engine.completer import DEFAULT_CONTEXT_TOKENS, Completer
from engine.config import DeviceChoice
from engine.loading import Slots, load_model
from engine.model_folder.contract import Clause
from engine.model_folder.manifest import Manifest
from engine.runtime.model_session import ModelSession
from engine.runtime.place_store import PlaceStore
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest, CompletionResult, ModelInfo, Sharing

MOST_SEATS = 16
"""Number of requests that run at once. On a CPU, a wider pass does not make each of its rows cheaper."""
MEMORY_MB = 2048
"""Memory for keys and values."""
MOST_WAITING = 64
LEAST_BUDGET_MS = 0.001
"""The time budget of a request whose budget ran out while it waited. Its completion is then empty."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What a `BatchingCompleter` has done since it was made, and how busy it is now.

    ``requests`` were answered; ``refused`` were turned away because the waiting line was full. The prompts had
    ``prompt_tokens`` tokens in all, of which ``reused_tokens`` were already in a slot. ``steps`` counts the passes of
    single tokens: ``step_rows`` of their rows belonged to requests, ``idle_rows`` to none. ``chunks`` counts the passes
    that read ``chunk_tokens`` tokens of prompts. ``active`` requests have one of the ``seats``; ``waiting`` requests
    are in line. What a seat held was parked ``parked`` times, of which ``parked_bytes`` are kept now;
    ``restored_tokens`` of documents came back so.
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
    parked: int
    parked_bytes: int
    restored_tokens: int

    @property
    def mean_batch(self) -> float:
        """Mean number of requests in a pass of single tokens; 0 before the first pass."""
        return self.step_rows / self.steps if self.steps else 0.0

    @property
    def cache_share(self) -> float:
        """Share of the prompt tokens that were already in a slot, 0 to 1."""
        return self.reused_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class BatchingCompleter:
    """A loaded model for many requests at once. Each request calls it from its own thread.

    Every request has a seat: a slot of keys and values, and an ordinary `Completer` over that slot. Its completion is
    the same as if it ran alone; only its forward passes are combined with those of other requests
    (`engine.batching.scheduler`). No drafts are made (`CompletionRequest.speculation`), because their rows would cost
    other users time.
    """

    def __init__(
        self,
        model: Completer,
        session: ModelSession,
        *,
        seats: int = MOST_SEATS,
        most_waiting: int = MOST_WAITING,
        patience_s: float = PATIENCE_S,
        widest_gap: int = WIDEST_GAP,
        parked_bytes: int = 0,
    ) -> None:
        """Serve ``model`` with the slots of ``session``: all of them, but at most ``seats``. This object owns the
        session from now on: nothing else may use its slots. ``widest_gap`` is the number of idle slots that a pass may
        include between two busy ones. ``parked_bytes`` bounds what is kept of documents whose seat another one took.
        """
        self._model = model
        self._scheduler = Scheduler(session, patience_s=patience_s, widest_gap=widest_gap)
        count = max(1, min(seats, session.slots))
        self._parked = PlaceStore(parked_bytes)
        sessions = [SeatSession(self._scheduler, session, slot) for slot in range(count)]
        self._places = [_place(model, seat, self._parked) for seat in sessions]
        self._seats = Seats(self._places, most_waiting)
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
        parked_mb: int = 0,
        most_waiting: int = MOST_WAITING,
    ) -> "BatchingCompleter":
        """Load a model folder as `Completer.load` does, with at most ``seats`` slots of ``context_tokens`` positions.

        There are as many slots as fit into ``memory_mb`` megabytes, and at least one. On a GPU all are allocated here,
        as many as it has room for. More than one slot needs a graph whose keys and values lie in shared buffers. With
        one slot, requests take turns. ``most_waiting`` requests may wait in line.

        When a seat is given to another document, the keys and values that it held are kept in host memory, up to
        ``parked_mb`` megabytes for all, and copied back when their document comes again. On a GPU nothing is: reading
        again takes about as long there as the copies.
        """
        loaded = load_model(model_dir, device, threads, context_tokens, Slots(seats, memory_mb * 1_000_000))
        session = loaded.session
        # A pass on a GPU takes as long as reading the weights from its memory, with one row or with all.
        widest_gap = seats if session.device.own_memory else WIDEST_GAP
        model = Completer.of(loaded)
        return cls(
            model,
            session,
            seats=session.slots,
            most_waiting=most_waiting,
            widest_gap=widest_gap,
            parked_bytes=parked_mb * 1_000_000,
        )

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
        """Messages for the user from loading."""
        return self._model.notices

    @property
    def statistics(self) -> BatchStatistics:
        """Counts since it was made."""
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
            parked=sum(place.session.saved for place in self._places),
            parked_bytes=self._parked.bytes,
            restored_tokens=sum(place.session.restored_tokens for place in self._places),
        )

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        document: str = "",
    ) -> CompletionResult:
        """Complete one request as `Completer.complete` does; many threads may call this at once.

        ``document`` is a name for this user's document. Its keys and values stay for its next request and serve no
        other document. The time budget starts now and includes the time in line. Raises `BatchFull` too, when all seats
        are taken and the line is full.
        """
        cancel = cancel or CancellationToken()
        arrived = time.monotonic()
        with self._seats.sit(document, cancel) as place, self._scheduler.active():
            cancel.raise_if_cancelled()
            before = place.counts()
            place.turn_to(document)
            waited_s = time.monotonic() - arrived
            result = place.completer.complete(_hurried(request, waited_s), cancel, self._aside(on_text))
            passes, rows, parked, restored = (now - then for now, then in zip(place.counts(), before, strict=True))
            # A request whose budget ends as it reads has no prompt tokens, and so no restored ones.
            sharing = Sharing(waited_s * 1000, passes, rows, parked, min(restored, result.reused_tokens))
        with self._lock:
            self._requests += 1
            self._prompt_tokens += result.prompt_tokens
            self._reused_tokens += min(result.reused_tokens, result.prompt_tokens)
        return replace(result, sharing=sharing)

    def read(
        self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0, *, document: str = ""
    ) -> None:
        """Read as `Completer.read` does; ``document`` as for `complete`. Raises `BatchFull` too."""
        with self._seats.sit(document, cancel) as place:
            place.turn_to(document)
            place.completer.read(request, cancel, rest)

    def _aside(self, on_text: Callable[[str], None] | None) -> Callable[[str], None] | None:
        """Wrap ``on_text`` so that only its own request waits until it returns."""
        if on_text is None:
            return None

        def show(text: str) -> None:
            with self._scheduler.away():
                on_text(text)

        return show


@dataclass(frozen=True, slots=True)
class _Place:
    """A seat: its completer, and the session in which that runs its passes."""

    completer: Completer
    session: SeatSession

    def turn_to(self, document: str) -> None:
        """Park what the seat holds, if it is of another document."""
        # The one who sat here before may have been cancelled. This belongs to nobody who can be.
        self.session.interruptible()
        self.completer.turn_to(document)

    def counts(self) -> tuple[int, int, int, int]:
        """What the session counts, in the order of `Sharing`."""
        return self.session.passes, self.session.rows, self.session.saved, self.session.restored_tokens


def _place(model: Completer, seat: SeatSession, parked: PlaceStore) -> _Place:
    return _Place(model.beside(seat, lambda: seat.seconds, parked), seat)


def _hurried(request: CompletionRequest, waited_s: float) -> CompletionRequest:
    budget = request.budget_ms
    if budget is not None:
        budget = max(LEAST_BUDGET_MS, budget - waited_s * 1000)
    return replace(request, speculation="off", budget_ms=budget)
