"""Limits on the time and memory of a trial."""

import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
BASE_SECONDS, SECONDS_PER_GIB = 120.0, 120.0
"""Limits on processor time, which does not depend on how busy the machine is."""
PATIENCE = 5.0
"""The limit by the clock is this many times as long."""
BASE_BYTES, COPIES = 3 * GIB, 4
"""Limits on address space: the interpreter with its libraries, and the weights in the file, converted, and packed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of processor time, ``address_space`` in bytes."""

    seconds: float
    address_space: int

    @property
    def clock_seconds(self) -> float:
        """The limit by the clock, in seconds."""
        return PATIENCE * self.seconds

    @classmethod
    def of(cls, file_bytes: int) -> "Limits":
        """The limits for a folder whose files have that many bytes."""
        return cls(BASE_SECONDS + SECONDS_PER_GIB * file_bytes / GIB, BASE_BYTES + COPIES * file_bytes)


def limit_this_process(limits: Limits) -> None:
    """Make the system enforce the limits on this process, as far as it supports them.

    A signal ends the process, whatever it is doing. If the machine runs out of memory anyway, Linux ends this process
    first.
    """
    if sys.platform != "win32":
        import resource
        import signal

        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limits.clock_seconds)
        bounds = (
            (resource.RLIMIT_CPU, math.ceil(limits.seconds)),
            (resource.RLIMIT_AS, limits.address_space),
            (resource.RLIMIT_CORE, 0),
        )
        for kind, most in bounds:
            with suppress(OSError, ValueError):  # macOS has the second, but ignores it
                hard = resource.getrlimit(kind)[1]
                least = most if hard == resource.RLIM_INFINITY else min(most, hard)
                # The hard limit on time stays as it is. At the soft limit comes the signal that tells which limit it
                # was.
                resource.setrlimit(kind, (least, hard if kind == resource.RLIMIT_CPU else least))
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
