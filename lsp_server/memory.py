"""What the process occupies, and what it need not."""

import ctypes
import os
import sys


def resident_bytes() -> int | None:
    """Memory that the process occupies now; None where the system does not say it in a file."""
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def available_bytes() -> int | None:
    """Memory that programs can still have; None where the system does not say it in a file."""
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
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
