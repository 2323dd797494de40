"""The debounce: how long an automatic request waits before it goes to the model. It adapts to measured call times."""

from collections import deque

from lsp_server.statistics import percentile

KEY_REPEAT_MS = 40.0
"""Just longer than the repeat interval of a held-down key (33 ms): a user who holds a key does not read suggestions."""
MEDIAN_OF = 15


class Debounce:
    """The time between requests, and the time that the model takes.

    A request waits only if it follows another one sooner than the model answers, because one of the two is then
    useless, and within the longest time that it may wait. Then it waits that long, or as long as the model takes,
    because the next key may come in that time. If the user types more slowly, no request waits, because that would only
    make the answer late.
    """

    def __init__(self) -> None:
        self._took_ms: deque[float] = deque(maxlen=MEDIAN_OF)
        self._last_s: float | None = None

    def answered(self, took_ms: float) -> None:
        """Record the time of a model call that has ended."""
        self._took_ms.append(took_ms)

    def delay_ms(self, now_s: float, longest_ms: float) -> float:
        """How long a request that comes now has to wait, at most ``longest_ms``. ``now_s`` is on a monotonic clock."""
        since_ms = None if self._last_s is None else (now_s - self._last_s) * 1000
        self._last_s = now_s
        wanted_ms = min(longest_ms, max(KEY_REPEAT_MS, percentile(list(self._took_ms), 0.5) or 0.0))
        return 0.0 if since_ms is None or since_ms >= wanted_ms else wanted_ms
