"""What is looked at before every forward pass: is somebody still waiting, is there time left."""

import time
from dataclasses import dataclass

from engine.types import CancellationToken


class BudgetExceeded(Exception):
    """The time budget of a request ran out; what was written so far stands."""


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
