"""How fast a model reads, learned from its passes, and how many tokens the next pass of a prefill has."""

import math
from dataclasses import dataclass

LEAST_CHUNK = 8
PASS_S = 0.05
"""If a pass of a prefill takes longer than this, the next one has half as many tokens. If it takes less than half of
this, the next has twice as many. What a cancelled pass has read is lost, so a pass must not be long.
"""


@dataclass(slots=True)
class ReadingPace:
    """``most`` bounds ``chunk``, the tokens of the next pass. ``token_s`` is the time for one token; 0 if not known."""

    most: int
    chunk: int
    token_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """How fast the model reads; infinite until it is known."""
        return 1 / self.token_s if self.token_s else math.inf

    def settle(self) -> None:
        """Choose the size of the first pass by what was measured: a long one would be broken off by the first key."""
        while self.chunk > LEAST_CHUNK and self.chunk * self.token_s > PASS_S:
            self.chunk //= 2

    def learn(self, tokens: int, seconds: float) -> None:
        """Learn from a pass over ``tokens``, and choose the size of the next one."""
        if tokens >= LEAST_CHUNK:
            took = seconds / tokens
            self.token_s = took if not self.token_s else 0.7 * self.token_s + 0.3 * took
        if tokens < self.chunk:
            return
        self._resize(seconds)

    def learn_of_broken(self, tokens: int, seconds: float) -> None:
        """Learn from a pass that was broken off after so long.

        If that was too long, the next is shorter: or nothing would ever be read while somebody types.
        """
        if tokens >= self.chunk and seconds > PASS_S:
            self._resize(seconds)

    def _resize(self, seconds: float) -> None:
        if seconds > PASS_S:
            self.chunk = max(min(LEAST_CHUNK, self.most), self.chunk // 2)
        elif seconds < PASS_S / 2:
            self.chunk = min(self.most, self.chunk * 2)
