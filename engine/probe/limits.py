"""Limits on the time and memory of a trial."""

import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
BASE_SECONDS, SECONDS_PER_GIB = 120.0, 120.0
"""Of processor time, which is the same however busy the machine is."""
PATIENCE = 5.0
"""Times as long on the clock: nothing that a model does waits for anything."""
BASE_BYTES, COPIES = 3 * GIB, 4
"""Of address space: the interpreter with its libraries, and the weights as they lie, converted, and packed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of processor time, ``address_space`` in bytes."""

    seconds: float
    address_space: int

    @property
    def clock_seconds(self) -> float:
        """By the clock on the wall."""
        return PATIENCE * self.seconds

    @classmethod
    def of(cls, file_bytes: int) -> "Limits":
        """The limits for a folder whose files have that many bytes."""
        return cls(BASE_SECONDS + SECONDS_PER_GIB * file_bytes / GIB, BASE_BYTES + COPIES * file_bytes)


def limit_this_process(limits: Limits) -> None:
    """From now on the system keeps this process to them; what it does not know of, it leaves out.

    Its signals end the process wherever it is. If memory runs short anyway, Linux ends this process
    and no other.
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
            with suppress(OSError, ValueError):  # macOS knows the second by name only
                hard = resource.getrlimit(kind)[1]
                least = most if hard == resource.RLIM_INFINITY else min(most, hard)
                # The hard limit on time stays: at the soft one comes the signal that says what it was.
                resource.setrlimit(kind, (least, hard if kind == resource.RLIMIT_CPU else least))
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
