"""What the process occupies, and what it need not."""

import ctypes
import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_MEMINFO = Path("/proc/meminfo")


def resident_bytes() -> int | None:
    """Memory that the process occupies now; None where the system does not say it in a file."""
    if sys.platform != "linux":
        return None
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def available_bytes() -> int | None:
    """Memory that programs can still have; None where the system does not say it in a file."""
    if sys.platform != "linux":
        return None
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def give_back_free_memory() -> None:
    """Let the C library give back to the system what was freed; does nothing where it is not glibc.

    Left to itself it keeps holes of the size of a model, and the next model does not fit into them.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # a library without a name is unknown on Windows; musl has no trim
        return
    trim(0)
