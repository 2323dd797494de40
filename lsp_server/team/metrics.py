"""What the service counts, for Prometheus: figures and the names of models and tokens, never text."""

from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
_PHASES = ("tokenize", "heal", "prefill", "decode")
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one ingress, in a registry of its own."""

    registry: CollectorRegistry
    requests: Counter
    refusals: Counter
    seconds: Histogram
    first_text: Histogram
    phases: Histogram
    ongoing: Gauge
    tokens_read: Counter
    tokens_reused: Counter
    tokens_written: Counter
    parked: Counter
    restored: Counter
    tokens_restored: Counter
    batch: Histogram
    shared: Histogram
    accepted: Counter
    shown: Counter

    @classmethod
    def create(cls) -> "Metrics":
        """New metrics, all at zero."""
        registry = CollectorRegistry()
        model = ("model",)
        return cls(
            registry,
            Counter("midtoken_requests", "Requests by outcome", ("model", "outcome"), registry=registry),
            Counter("midtoken_refusals", "Requests refused, by code", ("code",), registry=registry),
            Histogram("midtoken_request_seconds", "Whole answer", model, buckets=_SECONDS, registry=registry),
            Histogram("midtoken_first_text_seconds", "Until text", model, buckets=_SECONDS, registry=registry),
            Histogram("midtoken_phase_seconds", "By phase", ("model", "phase"), buckets=_SECONDS, registry=registry),
            Gauge("midtoken_ongoing_requests", "Requests under way or waiting", model, registry=registry),
            Counter("midtoken_prompt_tokens", "Tokens of prompts", model, registry=registry),
            Counter("midtoken_reused_tokens", "Of those, tokens in a cache", model, registry=registry),
            Counter("midtoken_written_tokens", "Tokens of completions", model, registry=registry),
            Counter(
                "midtoken_parked", "Times that a seat's document was put aside for another", model, registry=registry
            ),
            Counter("midtoken_restored", "Answers whose document had been put aside", model, registry=registry),
            Counter("midtoken_restored_tokens", "Reused tokens that had been put aside", model, registry=registry),
            Histogram(
                "midtoken_batch_requests",
                "Requests at work in the replica as one begins",
                model,
                buckets=_BATCHES,
                registry=registry,
            ),
            Histogram(
                "midtoken_pass_requests",
                "Requests that shared a pass of single tokens, on average over a request",
                model,
                buckets=_BATCHES,
                registry=registry,
            ),
            Counter("midtoken_accepted", "Completions accepted in an editor", model, registry=registry),
            Counter("midtoken_shown", "Completions shown in an editor", model, registry=registry),
        )

    def answered(self, model: str, answer: dict[str, Any], seconds: float) -> None:
        """Count one answer, as `answers.answer_json` writes it."""
        self.requests.labels(model, "answered").inc()
        self.seconds.labels(model).observe(seconds)
        for phase in _PHASES:
            self.phases.labels(model, phase).observe(answer["timing_ms"][phase] / 1000)
        usage = answer["usage"]
        self.phases.labels(model, "line").observe(usage["in_line_ms"] / 1000)
        if usage["passes"]:
            self.shared.labels(model).observe(usage["rows"] / usage["passes"])
        self.tokens_read.labels(model).inc(usage["prompt_tokens"])
        self.tokens_reused.labels(model).inc(usage["reused_tokens"])
        self.parked.labels(model).inc(usage["parked"])
        self.restored.labels(model).inc(usage["restored_tokens"] > 0)
        self.tokens_restored.labels(model).inc(usage["restored_tokens"])
        self.tokens_written.labels(model).inc(sum(completion["tokens"] for completion in answer["completions"]))

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
