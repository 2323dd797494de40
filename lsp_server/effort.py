"""How much of the machine completions may use: the setting ``effort``, and how busy the machine is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psutil

Effort = Literal["low", "normal", "high"]
READING_MS = 500.0
"""Longest time of a request for reading new context; at most half of the request's budget is used."""
LEAST_CONTEXT = 768
CONTEXT_S = 8.0
"""A slow model's context is no longer than it can read in this time, in whole steps of tokens: until it is read,
completions are made with a small part of it."""
CONTEXT_STEP = 256
BUSY = 0.75
"""The machine counts as busy if other programs use this share of all processors."""
LOOK_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the machine a request may use.

    ``reading_ms`` bounds the time for context that was not read before, ``context_tokens`` the length of the prompt
    (None: the model's own limit). If ``reads_ahead``, the rest is read in the background, with a pause after each pass
    of ``rest`` times its length.
    """

    reading_ms: float
    context_tokens: int | None
    reads_ahead: bool
    rest: float


def share_of(effort: Effort, is_scarce: bool, threads: int, tokens_per_s: float = 0.0) -> Share:
    """What ``effort`` means if a pass uses ``threads`` processors. ``is_scarce`` says that processor time or power is
    scarce.

    ``tokens_per_s`` is how fast the model reads, 0 where that is not known.
    """
    if effort == "high":
        return Share(2 * READING_MS, None, True, rest=0.0)
    if effort == "low" or is_scarce:
        return Share(READING_MS / 2, LEAST_CONTEXT, False, rest=0.0)
    most = max(LEAST_CONTEXT, int(CONTEXT_S * tokens_per_s) // CONTEXT_STEP * CONTEXT_STEP) if tokens_per_s else None
    # On average at most the time of one processor.
    return Share(READING_MS, most, True, rest=threads - 1.0)


class Machine:
    """Tells whether the machine runs on its battery, or other programs keep its processors busy."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        on_battery: Callable[[], bool] | None = None,
        used: Callable[[], tuple[float, float]] | None = None,
    ) -> None:
        """``used`` returns processor seconds so far: those used by other programs, and those of all processors
        together.
        """
        self._clock = clock
        self._on_battery = on_battery or _on_battery
        self._used = used or _used
        self._next = -1.0
        self._before = (0.0, 0.0)
        self._is_scarce = False

    @property
    def is_scarce(self) -> bool:
        """Whether time or power is scarce; checked at most every ten seconds."""
        now = self._clock()
        if now >= self._next:
            is_first, self._next = self._next < 0, now + LOOK_EVERY_S
            others, total = self._used()
            spent, passed = others - self._before[0], total - self._before[1]
            self._before = (others, total)
            # The first time there is nothing to compare with.
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
    # Programs at a low priority give way by themselves, so they do not count.
    return max(0.0, total - idle - getattr(all_, "nice", 0.0) - own.user - own.system), total
