"""What is looked at before every forward pass: is somebody still waiting, is there time left."""

import math
import time
from dataclasses import dataclass

from engine.types import CancellationToken


class BudgetExceeded(Exception):
    """The time budget of a request ran out. What was written so far is kept."""


class Resting:
    """A checkpoint of work that nobody waits for: between two passes it rests, to take no more than a share of time."""

    def __init__(self, cancel: CancellationToken, rest: float) -> None:
        """After each pass ``rest`` times as long as it took."""
        self._cancel = cancel
        self._rest = rest
        self._since = math.inf

    def __call__(self) -> None:
        """Raises `engine.errors.Cancelled`, as soon as the work is called off."""
        took = max(0.0, time.monotonic() - self._since)
        self._cancel.wait(took * self._rest)
        self._cancel.raise_if_cancelled()
        self._since = time.monotonic()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Looked at before every forward pass: is somebody still waiting, is there time left.

    ``deadline`` is in seconds of `time.monotonic`, infinite without a budget.
    """

    cancel: CancellationToken
    deadline: float = float("inf")

    def __call__(self) -> None:
        """Raises `engine.errors.Cancelled` or `BudgetExceeded`."""
        self.cancel.raise_if_cancelled()
        if time.monotonic() >= self.deadline:
            raise BudgetExceeded
