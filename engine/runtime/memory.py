"""Whether an error says that memory ran out. Only then is it worth trying again with less."""

import errno

from engine.errors import DeviceError, DeviceMemoryError, reason_of

# What onnxruntime, CUDA and the C++ library say.
_WORDS = (
    "Failed to allocate memory",
    "is smaller than requested bytes",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "CUDA_ERROR_OUT_OF_MEMORY",
)
# ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_COMMITMENT_LIMIT of Windows.
_WINDOWS = (8, 14, 1455)


def ran_out(error: Exception) -> bool:
    """Whether ``error``, of Python, the system or onnxruntime, says that there is no memory left."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM or getattr(error, "winerror", None) in _WINDOWS
    return isinstance(error, MemoryError) or any(words in str(error) for words in _WORDS)


def cache_failure(error: Exception, tokens: int) -> DeviceError:
    """The error of a key/value cache of ``tokens`` positions that could not be made."""
    what, why = f"a key/value cache of {tokens} tokens", reason_of(error)
    if ran_out(error):
        return DeviceMemoryError(f"no memory for {what} ({why}); ask for fewer")
    return DeviceError(f"{what} cannot be made ({why}); try another device")
