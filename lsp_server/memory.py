"""How much memory the process uses, and giving free memory back."""

import ctypes

import psutil


def resident_bytes() -> int | None:
    """Memory that the process occupies now; None if the system does not say."""
    try:
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return None


def available_bytes() -> int | None:
    """Memory that programs can still get; None if the system does not say."""
    try:
        return int(psutil.virtual_memory().available)
    except (psutil.Error, OSError, ValueError):
        return None


def give_back_free_memory() -> None:
    """Make the C library return freed memory to the system. Does nothing if it is not glibc.

    Otherwise it keeps holes of the size of a model, and the next model does not fit into them.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # a library without a name is unknown on Windows; musl has no trim
        return
    trim(0)
