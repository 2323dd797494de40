"""What a trial may take."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
BASE_SECONDS, SECONDS_PER_GIB = 60.0, 30.0
BASE_BYTES, COPIES = 3 * GIB, 4
"""Of address space: the interpreter with its libraries, and the weights as they lie, converted, and packed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of time, ``address_space`` in bytes."""

    seconds: float
    address_space: int

    @classmethod
    def of(cls, file_bytes: int) -> "Limits":
        """Those of a folder whose files have so many bytes."""
        return cls(BASE_SECONDS + SECONDS_PER_GIB * file_bytes / GIB, BASE_BYTES + COPIES * file_bytes)


def limit_this_process(limits: Limits) -> None:
    """From now on the system keeps this process to them; what it does not know of, it leaves out.

    The time is the alarm clock's, whose signal ends the process wherever it is. Where memory runs short all the same,
    Linux is told to end this process and no other.
    """
    with suppress(OSError):
        os.nice(5)
    if sys.platform != "win32":
        import resource
        import signal

        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        for kind, most in ((resource.RLIMIT_AS, limits.address_space), (resource.RLIMIT_CORE, 0)):
            with suppress(OSError, ValueError):  # macOS knows the first by name only
                hard = resource.getrlimit(kind)[1]
                least = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(kind, (least, least))
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
