"""What one measurement of many users gave: counts, latencies and shares, and the rows of the report."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.tables import Cell
from benchmarks.team.user import Record

COLUMNS = (
    "users",
    "compared",
    "answers/s",
    "characters/s",
    "ms p50",
    "ms p95",
    "p95 of all",
    "cancelled",
    "typed through",
    "cached",
    "restored",
    "requests in a pass",
    "ms in line",
    "refused",
    "failed",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All users together. ``answered_s`` are the latencies of answers, ``waited_s`` how long the requests had run that
    the next key cancelled. ``passes`` of single tokens had ``rows`` requests in them, counted once for each request.
    """

    seconds: float
    keys: int
    typed_through: int
    answered_s: tuple[float, ...]
    waited_s: tuple[float, ...]
    characters: int
    prompt_tokens: int
    reused_tokens: int
    restored_tokens: int
    passes: int
    rows: int
    in_line_ms: float
    refused: int
    failed: int

    @property
    def answers_a_second(self) -> float:
        """Throughput: requests that came to their end."""
        return len(self.answered_s) / self.seconds

    @property
    def cache_share(self) -> float:
        """The share of prompt tokens of the answers that were in a cache, 0 to 1."""
        return self.reused_tokens / max(1, self.prompt_tokens)

    @property
    def restored_share(self) -> float:
        """The share of prompt tokens that were in a cache because they had been parked, 0 to 1."""
        return self.restored_tokens / max(1, self.prompt_tokens)

    @property
    def mean_batch(self) -> float:
        """Requests in the pass in which a token was written, on average over tokens; 0 where that is not known."""
        return self.rows / max(1, self.passes)

    def row(self, users: int, name: str) -> tuple[Cell, ...]:
        """The cells of `COLUMNS`."""
        asked = len(self.answered_s) + len(self.waited_s) + self.refused + self.failed
        return (
            users,
            name,
            self.answers_a_second,
            self.characters / self.seconds,
            1000 * quantile(self.answered_s, (), 0.5),
            1000 * quantile(self.answered_s, (), 0.95),
            _or_more(quantile(self.answered_s, self.waited_s, 0.95), self.waited_s),
            f"{len(self.waited_s) / max(1, asked):.0%}",
            f"{self.typed_through / max(1, self.keys):.0%}",
            f"{self.cache_share:.1%}",
            f"{self.restored_share:.1%}",
            self.mean_batch,
            self.in_line_ms / max(1, len(self.answered_s)),
            self.refused,
            self.failed,
        )


def outcome_of(records: Iterable[Record], seconds: float) -> Outcome:
    """The sum of all users' records over ``seconds``."""
    records = list(records)
    replies = [reply for record in records for reply in record.replies]
    answers = [reply for reply in replies if reply.is_answer]
    usages = [reply.answer.get("usage", {}) for reply in answers]
    codes = Counter(reply.code for reply in replies if not reply.is_answer)
    refused = codes["full"] + codes["too-many"]
    sums = Counter[str]()
    for usage in usages:
        sums.update({name: value for name, value in usage.items() if not isinstance(value, bool)})
    return Outcome(
        seconds,
        sum(record.keys for record in records),
        sum(record.typed_through for record in records),
        tuple(reply.seconds for reply in answers),
        tuple(waited for record in records for waited in record.waited_s),
        sum(len(completion["text"]) for reply in answers for completion in reply.answer["completions"]),
        int(sums["prompt_tokens"]),
        int(sums["reused_tokens"]),
        int(sums["restored_tokens"]),
        int(sums["passes"]),
        int(sums["rows"]),
        float(sums["in_line_ms"]),
        refused,
        codes.total() - refused,
    )


def quantile(answered: Sequence[float], cancelled: Sequence[float], share: float) -> float:
    """The time within which ``share`` of all requests are answered, where some were cancelled before their answer; NaN
    if so many were that nobody knows.

    The product-limit estimate: Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations", 1958. It
    takes the moment of a cancellation to have nothing to do with how long the answer would have taken.
    """
    left, at_risk = 1.0, len(answered) + len(cancelled)
    for seconds, is_answer in sorted([(s, True) for s in answered] + [(s, False) for s in cancelled]):
        if is_answer:
            left *= 1 - 1 / at_risk
            if left <= 1 - share + 1e-9:
                return seconds
        at_risk -= 1
    return math.nan


def _or_more(seconds: float, cancelled: Sequence[float]) -> Cell:
    return f"over {1000 * max(cancelled, default=0.0):.0f}" if math.isnan(seconds) else 1000 * seconds
