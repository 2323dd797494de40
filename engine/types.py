"""The values of a completion: a request, its result, and how it ended.

All of them are frozen except `CancellationToken`, which exists to be changed from another thread.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.config import (
    BEAMS,
    SPECULATIONS,
    HealingParams,
    SamplingParams,
    Speculation,
    StopParams,
    require_choice,
    require_count,
    require_range,
)
from engine.errors import Cancelled, RequestError

TokenIds: TypeAlias = tuple[int, ...]
IdArray: TypeAlias = NDArray[np.int32]
"""Token ids, ``[S] int32``: no vocabulary comes near 2**31 entries."""
FloatArray: TypeAlias = NDArray[np.float32]

LEAST_CONTEXT_TOKENS = 64
"""With fewer, a template and a line would not fit."""
StopReason = Literal["end", "stop-string", "line", "block", "doubt", "length", "context", "budget", "cut"]
"""Why a completion ended: an end-of-sequence or template control id, a stop string, the end of the line, the end of the
indented block, too little confidence, ``max_new_tokens``, the model's context length, the time budget, or a cut by the
language server, because the rest did not fit the document.
"""


class CancellationToken:
    """Tells a running completion that it is no longer wanted. It may be set from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Ask the completion to stop. It stops during the running forward pass, or before the next one."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when `cancel` is called, on the thread that calls it; at once if it was called already."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until it is cancelled."""
        if seconds > 0:
            self._event.wait(seconds)

    def raise_if_cancelled(self) -> None:
        """Raises `Cancelled` once `cancel` was called."""
        if self._event.is_set():
            raise Cancelled("the completion was cancelled")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of text from elsewhere: of another file, or of a part of the same one that is far from the cursor.

    A model with a token for files reads ``path``, the name of the file in its repository, after that token. Others read
    ``heading`` before the text, such as a comment that names the file.
    """

    text: str
    path: str = ""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What to complete: all text before the cursor and all text after it, as in the editor.

    ``extra_context`` are pieces of text from elsewhere, the most useful first. They come before the document in this
    order, as many as fit into the room that the document leaves. ``imports`` are lines from the document's beginning;
    they are put before the window if it does not reach back to them. ``words`` are known words: the word at the cursor
    becomes more likely to be one of them than the model says, and with ``only_words`` it can be no other. ``path`` is
    the document's name in its repository, with forward slashes, and ``repository`` is the repository's name; only
    models that were trained with tokens for them get them. ``max_completions`` is the number of distinct candidates,
    best first.

    If ``reading_ms`` is given, the model reads only as much new context as it can in that time, the nearest first. The
    completion then depends on what earlier requests have read. With None it reads everything. ``speculation`` says
    whether passes may verify drafts of the next tokens. That saves time, but with quantised weights two tokens that are
    almost equally probable may change places, so it is off by default. ``context_tokens``, 64 or more, is a further
    limit on the prompt; None means the model's own limit.
    """

    prefix: str
    suffix: str = ""
    language: str | None = None
    extra_context: tuple[Snippet, ...] = ()
    imports: str = ""
    words: frozenset[str] = frozenset()
    only_words: bool = False
    path: str = ""
    repository: str = ""
    max_completions: int = 1
    budget_ms: float | None = None
    reading_ms: float | None = None
    context_tokens: int | None = None
    healing: HealingParams = field(default_factory=HealingParams)
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: StopParams = field(default_factory=StopParams)
    speculation: Speculation = "off"

    def __post_init__(self) -> None:
        require_choice("speculation", self.speculation, SPECULATIONS)
        require_count("max_completions", self.max_completions, 1, 64)
        if not all(isinstance(piece, Snippet) for piece in self.extra_context):
            raise RequestError("extra_context holds something other than Snippet; write Snippet(text) around each text")
        if self.budget_ms is not None:
            require_range("budget_ms", self.budget_ms, 0, math.inf, open_low=True)
        if self.reading_ms is not None:
            require_range("reading_ms", self.reading_ms, 0, math.inf)
        if self.context_tokens is not None:
            require_count("context_tokens", self.context_tokens, LEAST_CONTEXT_TOKENS)
        width = self.sampling.beam_width
        if self.sampling.strategy in BEAMS and self.max_completions > width:
            raise RequestError(
                f"max_completions is {self.max_completions} but beam_width is {width}; it must be at most {width}"
            )


@dataclass(frozen=True, slots=True)
class HealingReport:
    """How the partial token at the cursor was healed.

    ``tail`` is the text that the healed step wrote again, ``tokens_back`` the number of tokens of its encoding that
    were dropped, ``covers`` the number of vocabulary entries that were scored, ``surprise_bits`` minus log2 of the
    probability that the model gives to what the user typed (under ``k-step``, only to the dropped text).
    """

    mode: str
    tail: str
    tokens_back: int
    covers: int
    surprise_bits: float


@dataclass(frozen=True, slots=True)
class Completion:
    """Text to insert at the cursor. It continues exactly the bytes that are typed. ``logprob`` is the natural
    log-probability, summed over ``tokens``.

    ``along`` says how sure the model is of each beginning: characters of the text, ascending, and the natural
    log-probability of the tokens up to there. The last may be beyond the end of a text that was cut. ``along`` is empty
    if the strategy compares whole continuations; then only ``logprob`` is known.
    """

    text: str
    logprob: float
    tokens: int
    stop: StopReason
    healing: HealingReport
    along: tuple[tuple[int, float], ...] = ()

    def logprob_at(self, end: int) -> float:
        """The natural log-probability of the first ``end`` characters, or of a few more if a token goes past them."""
        return next((logprob for characters, logprob in self.along if characters >= end), self.logprob)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one request went, in milliseconds."""

    tokenize_ms: float = 0.0
    heal_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """Drafted tokens that a pass verified, and how many of them were written, for each source of drafts: the document,
    or the small model.
    """

    lookup_drafted: int = 0
    lookup_accepted: int = 0
    model_drafted: int = 0
    model_accepted: int = 0


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a request shared the model with others: ``in_line_ms`` before it began, then ``passes`` of single tokens,
    which had ``rows`` tokens of requests, its own included. For it, what a slot held was ``parked`` so many times, and
    ``restored_tokens`` of what it had read before were copied back: they are among the reused ones.
    """

    in_line_ms: float = 0.0
    passes: int = 0
    rows: int = 0
    parked: int = 0
    restored_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """Distinct completions, best first (possibly none), with the timing of the whole request.

    ``reused_tokens`` of the ``prompt_tokens`` were still in the key/value cache. ``is_partial`` says that the model
    read only a part of the context because time was short. ``drafts`` counts drafted tokens. ``sharing`` is of a
    `BatchingCompleter`.
    """

    completions: tuple[Completion, ...]
    timing: Timing
    prompt_tokens: int
    reused_tokens: int
    is_partial: bool = False
    drafts: DraftCounts = field(default_factory=DraftCounts)
    sharing: Sharing = field(default_factory=Sharing)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is loaded and where it runs; ``provider`` is the execution provider in use, not the one asked for.

    ``tokens_per_s`` is how fast it read a few tokens when it was loaded; 0 where that was not measured.
    ``reading_rows``: a second graph reads where at least so many tokens are read at once; None: there is none, or it is
    slower here.
    """

    path: str
    name: str
    device: str
    provider: str
    precision: str
    vocabulary: int
    context_length: int
    prefix_index: str
    fim_orders: tuple[str, ...]
    tokens_per_s: float = 0.0
    reading_rows: int | None = None


@dataclass(frozen=True, slots=True)
class TracedCover:
    """A cover for people to read: the tokens of the tail ``before`` it, then its token's ``data``, of which the first
    ``typed`` bytes were typed already. Also its probability among the covers, whether it is canonical, and whether it
    was chosen.
    """

    before: tuple[bytes, ...]
    data: bytes
    typed: int
    probability: float
    valid: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class HealingTrace:
    """How a text is healed, for people to read: tokens as bytes, the number of candidates, the most probable covers."""

    mode: str
    context: tuple[bytes, ...]
    tail: tuple[bytes, ...]
    candidates: int
    surprise_bits: float
    covers: tuple[TracedCover, ...]
