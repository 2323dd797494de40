"""Checks before every forward pass: is the result still wanted, and is there time left?"""

import math
import time
from dataclasses import dataclass

from engine.types import CancellationToken


class BudgetExceeded(Exception):
    """The time budget of a request ran out. What was written so far is kept."""


class Resting:
    """A checkpoint for background work: it rests between two passes, to use only a share of the time."""

    def __init__(self, cancel: CancellationToken, rest: float) -> None:
        """It rests for ``rest`` times as long as each pass took."""
        self._cancel = cancel
        self._rest = rest
        self._since = math.inf

    def __call__(self) -> None:
        """Rest. Raises `engine.errors.Cancelled` as soon as the work is cancelled."""
        took = max(0.0, time.monotonic() - self._since)
        self._cancel.wait(took * self._rest)
        self._cancel.raise_if_cancelled()
        self._since = time.monotonic()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The check before every forward pass: is the result still wanted, and is there time left?

    ``deadline`` is in seconds of `time.monotonic`, infinite without a budget.
    """

    cancel: CancellationToken
    deadline: float = float("inf")

    def __call__(self) -> None:
        """Raises `engine.errors.Cancelled` or `BudgetExceeded`."""
        self.cancel.raise_if_cancelled()
        if time.monotonic() >= self.deadline:
            raise BudgetExceeded
