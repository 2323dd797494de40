"""Which errors mean that memory ran out."""

import errno

import pytest

from engine.errors import DeviceError, DeviceMemoryError
from engine.runtime.memory import cache_failure, ran_out

EXHAUSTED = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1"),
    RuntimeError("Available memory of 0 is smaller than requested bytes of 64"),
    RuntimeError("CUDA failure 2: out of memory"),
    RuntimeError("std::bad_alloc"),
]
OTHERS = [
    OSError(errno.EACCES, "Permission denied"),
    RuntimeError("CUDA failure 700: an illegal memory access was encountered"),
    ValueError(),
]


@pytest.mark.parametrize("error", EXHAUSTED, ids=str)
def test_memory_ran_out(error: Exception):
    assert ran_out(error)
    failure = cache_failure(error, 512)
    assert isinstance(failure, DeviceMemoryError)
    assert str(failure).startswith("no memory for a key/value cache of 512 tokens (")


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_something_else_went_wrong(error: Exception):
    assert not ran_out(error)
    failure = cache_failure(error, 512)
    assert type(failure) is DeviceError
    assert "memory for" not in str(failure)


def test_windows_says_it_in_numbers_of_its_own():
    class ErrorOfWindows(OSError):
        winerror = 1455  # Python has this attribute on Windows only

    assert ran_out(ErrorOfWindows(22, "The paging file is too small"))
