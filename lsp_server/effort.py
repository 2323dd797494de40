"""How much of the machine completions may take: the setting ``effort``, and what else the machine has to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psutil

Effort = Literal["low", "normal", "high"]
READING_MS = 500.0
"""Of a request's time, at most so much is spent on reading what the model has not read yet, and no more than half."""
LEAST_CONTEXT = 768
CONTEXT_S = 8.0
"""A slow model's context is no longer than it can read in this time, in whole steps of tokens: until it is read,
completions are made with a small part of it."""
CONTEXT_STEP = 256
BUSY = 0.75
"""The share of all processors that other programs use, from which on the machine counts as busy."""
LOOK_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """What a request may take of the machine.

    ``reading_ms`` bounds the time for context that was not read before, ``context_tokens`` the length of the prompt
    (None: what the model holds). What is left is read in the background where ``reads_ahead``; after each pass it rests
    ``rest`` times as long as the pass took.
    """

    reading_ms: float
    context_tokens: int | None
    reads_ahead: bool
    rest: float


def share_of(effort: Effort, is_scarce: bool, threads: int, tokens_per_s: float = 0.0) -> Share:
    """What ``effort`` means where a pass uses ``threads`` processors; ``is_scarce``: the machine's time or power is.

    ``tokens_per_s`` is how fast the model reads, 0 where that is not known.
    """
    if effort == "high":
        return Share(2 * READING_MS, None, True, rest=0.0)
    if effort == "low" or is_scarce:
        return Share(READING_MS / 2, LEAST_CONTEXT, False, rest=0.0)
    most = max(LEAST_CONTEXT, int(CONTEXT_S * tokens_per_s) // CONTEXT_STEP * CONTEXT_STEP) if tokens_per_s else None
    # No more than one processor's time, on the average.
    return Share(READING_MS, most, True, rest=threads - 1.0)


class Machine:
    """Whether the machine runs on its battery, or other programs keep its processors busy."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        on_battery: Callable[[], bool] | None = None,
        used: Callable[[], tuple[float, float]] | None = None,
    ) -> None:
        """``used`` gives the seconds that other programs, and that all processors together, have spent so far."""
        self._clock = clock
        self._on_battery = on_battery or _on_battery
        self._used = used or _used
        self._next = -1.0
        self._before = (0.0, 0.0)
        self._is_scarce = False

    @property
    def is_scarce(self) -> bool:
        """Looked at every ten seconds at most."""
        now = self._clock()
        if now >= self._next:
            is_first, self._next = self._next < 0, now + LOOK_EVERY_S
            others, total = self._used()
            spent, passed = others - self._before[0], total - self._before[1]
            self._before = (others, total)
            # The first look has nothing to compare with.
            self._is_scarce = self._on_battery() or (not is_first and passed > 0 and spent / passed > BUSY)
        return self._is_scarce


def _on_battery() -> bool:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):  # a system without such a list, or one that cannot be read
        return False
    return battery is not None and battery.power_plugged is False


def _used() -> tuple[float, float]:
    try:
        all_, own = psutil.cpu_times(), psutil.Process().cpu_times()
    except (psutil.Error, OSError):  # a container that hides it
        return 0.0, 0.0
    total = sum(all_) - getattr(all_, "guest", 0.0) - getattr(all_, "guest_nice", 0.0)  # they are in user and nice too
    idle = all_.idle + getattr(all_, "iowait", 0.0)
    # What runs at a low priority gives way by itself.
    return max(0.0, total - idle - getattr(all_, "nice", 0.0) - own.user - own.system), total
