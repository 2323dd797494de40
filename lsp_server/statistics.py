"""Figures of a session. They are kept only in memory, and given only on request."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from engine import DraftCounts

Source = Literal["model", "running", "memory"]
"""Where an answer came from: a call of its own, a running call of an earlier request, or a kept answer."""
RECENT_ANSWERS = 1000
"""Latencies of this many answers are kept for the percentiles."""
MEDIAN_OF = 50
"""A client shows the median of this many answers. They are few, so that it follows a change of model."""


PAUSE_S = 5.0
"""A longer pause is not typing, so at most this much of a pause counts."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of the values do not exceed; None of no values.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class Statistics:
    """Counts of one session. Latencies are in milliseconds from the arrival of a request to its answer."""

    requests: int = 0
    cancelled: int = 0
    superseded: int = 0
    failed: int = 0
    out_of_time: int = 0
    answers: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(get_args(Source), 0))
    shown: int = 0
    accepted: int = 0
    accepted_characters: int = 0
    drafted_tokens: int = 0
    drafted_tokens_kept: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_ANSWERS))
    started: float = field(default_factory=time.monotonic)
    typing_s: float = 0.0
    """Time between consecutive requests."""
    _last_request: float | None = None
    _processor_before: float = 0.0

    def asked(self, now: float, processor_s: float) -> None:
        """Record a request. ``processor_s`` is the processor time used so far, without that for loading models."""
        self.requests += 1
        if self._last_request is None:
            self._processor_before = processor_s
        else:
            self.typing_s += min(now - self._last_request, PAUSE_S)
        self._last_request = now

    def answered(self, latency_ms: float, source: Source) -> None:
        """Record an answer, which may be that there is no completion."""
        self.answers[source] += 1
        self.latencies_ms.append(latency_ms)

    def drafted(self, drafts: DraftCounts) -> None:
        """Record that a model call verified drafts of the next tokens."""
        self.drafted_tokens += drafts.lookup_drafted + drafts.model_drafted
        self.drafted_tokens_kept += drafts.lookup_accepted + drafts.model_accepted

    @property
    def median_ms(self) -> float | None:
        """Median of the last answers in milliseconds; None before the first."""
        return percentile(list(self.latencies_ms)[-MEDIAN_OF:], 0.5)

    def to_json(self) -> dict[str, object]:
        """The figures by the names of ``docs/protocol.md``."""
        answered = sum(self.answers.values())
        latencies = list(self.latencies_ms)
        processor_s = 0.0 if self._last_request is None else time.process_time() - self._processor_before
        shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
        return {
            "uptimeSeconds": round(time.monotonic() - self.started),
            "requests": self.requests,
            "cancelled": self.cancelled,
            "superseded": self.superseded,
            "failed": self.failed,
            "outOfTime": self.out_of_time,
            "answeredByModel": self.answers["model"],
            "answeredByRunning": self.answers["running"],
            "answeredWithoutModel": self.answers["memory"],
            "shareWithoutModel": round(self.answers["memory"] / answered, 4) if answered else None,
            "shown": self.shown,
            "accepted": self.accepted,
            "acceptedCharacters": self.accepted_characters,
            "draftedTokens": self.drafted_tokens,
            "draftedTokensKept": self.drafted_tokens_kept,
            "typingSeconds": round(self.typing_s),
            "processorSeconds": round(processor_s, 1),
            "processorSecondsPerMinuteOfTyping": _rounded(60 * processor_s / self.typing_s if self.typing_s else None),
            "latencyMs": {name: _rounded(percentile(latencies, share)) for name, share in shares.items()},
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
