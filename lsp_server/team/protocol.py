"""Requests of the team's service, as client and service read and write them; ``docs/team.md`` is the reference.

One version has one set of names. An unknown member is refused, so that a typing error is noticed.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from engine import (
    HEALING_MODES,
    SPECULATIONS,
    STRATEGIES,
    CompletionRequest,
    HealingMode,
    HealingParams,
    SamplingParams,
    Snippet,
    Speculation,
    StopParams,
    Strategy,
)
from lsp_server.team.fields import Fields

VERSION = 1
SESSION_HEADER = "x-session-id"
"""The header with a random value for each open document. Requests with the same value go to the same replica."""
COMPLETE, MODELS, ACCEPTED, LEGACY = "/v1/complete", "/v1/models", "/v1/accepted", "/v1/completions"
HEALTH, METRICS = "/healthz", "/metrics"
MOST_WORDS = 4000
MOST_SNIPPETS = 64
LONGEST_NAME = 200
LONGEST_PATH = 1024

ErrorCode = Literal[
    "bad-request",
    "unauthorised",
    "forbidden",
    "not-found",
    "method",
    "timeout",
    "too-large",
    "too-many",
    "full",
    "model",
    "internal",
]
STATUS: dict[ErrorCode, int] = {
    "bad-request": 400,
    "unauthorised": 401,
    "forbidden": 403,
    "not-found": 404,
    "method": 405,
    "timeout": 408,
    "too-large": 413,
    "too-many": 429,
    "full": 503,
    "model": 503,
    "internal": 500,
}


class Refusal(Exception):
    """A request that is refused, with a code and one line that says what to do."""

    def __init__(self, code: ErrorCode, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(code, message, retry_after_s)  # all arguments, so that pickling between processes keeps them
        self.code, self.message, self.retry_after_s = code, message, retry_after_s

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def to_json(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"code": self.code, "message": self.message}}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper limits for what one request may ask for."""

    max_new_tokens: int = 256
    candidates: int = 16
    budget_ms: float = 30_000.0


@dataclass(frozen=True, slots=True)
class TeamRequest:
    """What a client asks the service: a request for the engine, the model, and whether to stream.

    ``model`` is a name of the service; empty means its first model.
    """

    request: CompletionRequest
    model: str = ""
    stream: bool = False


_PLAIN = ("prefix", "suffix", "language", "path", "repository", "imports")
_NAMES = (
    *_PLAIN,
    "model",
    "stream",
    "max_new_tokens",
    "single_line",
    "n",
    "min_confidence",
    "stop",
    "healing",
    "max_surprise_bits",
    "strategy",
    "temperature",
    "top_p",
    "seed",
    "words",
    "only_words",
    "extra_context",
    "budget_ms",
    "context_tokens",
    "speculation",
)


def read_request(body: object, bounds: Bounds) -> TeamRequest:
    """Read the request from a body of ``POST /v1/complete``. Raises `RequestError`, in one line."""
    fields = Fields(body, "the request", _NAMES)
    strategy: Strategy = fields.choice("strategy", STRATEGIES, "greedy")
    healing: HealingMode = fields.choice("healing", HEALING_MODES, "exact")
    speculation: Speculation = fields.choice("speculation", SPECULATIONS, "off")
    request = CompletionRequest(
        prefix=fields.text("prefix"),
        suffix=fields.text("suffix", ""),
        language=fields.text("language", "", LONGEST_NAME) or None,
        path=fields.text("path", "", LONGEST_PATH),
        repository=fields.text("repository", "", LONGEST_NAME),
        imports=fields.text("imports", ""),
        extra_context=tuple(_snippet(value) for value in fields.elements("extra_context", MOST_SNIPPETS)),
        words=frozenset(fields.texts("words", MOST_WORDS)),
        only_words=fields.truth("only_words", False),
        max_completions=fields.whole("n", 1, 1, bounds.candidates),
        budget_ms=fields.number("budget_ms", bounds.budget_ms, 1.0, bounds.budget_ms),
        context_tokens=fields.whole("context_tokens", low=64) if fields.has("context_tokens") else None,
        healing=HealingParams(mode=healing, max_surprise_bits=fields.number("max_surprise_bits", math.inf, 0.0)),
        sampling=SamplingParams(
            strategy=strategy,
            temperature=fields.number("temperature", 1.0),
            top_p=fields.number("top_p", 1.0),
            seed=fields.whole("seed") if fields.has("seed") else None,
        ),
        stop=StopParams(
            max_new_tokens=fields.whole("max_new_tokens", min(64, bounds.max_new_tokens), 1, bounds.max_new_tokens),
            lines="single" if fields.truth("single_line", True) else "multi",
            min_confidence=fields.number("min_confidence", 0.0),
            stop_strings=fields.texts("stop", 16),
        ),
        speculation=speculation,
    )
    return TeamRequest(request, fields.text("model", "", LONGEST_NAME), fields.truth("stream", False))


def request_json(asked: TeamRequest) -> dict[str, Any]:
    """Write the body that `read_request` can read again. Members with their default value are left out."""
    request, stop, sampling = asked.request, asked.request.stop, asked.request.sampling
    body: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(request, name))}
    body |= {
        "prefix": request.prefix,
        "n": request.max_completions,
        "max_new_tokens": stop.max_new_tokens,
        "single_line": stop.lines == "single",
        "min_confidence": stop.min_confidence,
        "stop": list(stop.stop_strings),
        "healing": request.healing.mode,
        "strategy": sampling.strategy,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "words": sorted(request.words)[:MOST_WORDS],
        "only_words": request.only_words and len(request.words) <= MOST_WORDS,
        "extra_context": [
            {"text": piece.text, "path": piece.path, "heading": piece.heading} for piece in request.extra_context
        ],
        "speculation": request.speculation,
        "stream": asked.stream,
    }
    if math.isfinite(request.healing.max_surprise_bits):
        body["max_surprise_bits"] = request.healing.max_surprise_bits
    optional = {
        "model": asked.model or None,
        "seed": sampling.seed,
        "budget_ms": request.budget_ms,
        "context_tokens": request.context_tokens,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _snippet(value: object) -> Snippet:
    fields = Fields(value, "extra_context", ("text", "path", "heading"))
    return Snippet(fields.text("text"), fields.text("path", "", LONGEST_PATH), fields.text("heading", "", LONGEST_PATH))
