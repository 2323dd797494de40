"""Ends the server when the process that started it dies without saying so."""

import logging
import os
import sys
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

INTERVAL_S = 2.0


def watch_parent(
    process_id: int,
    on_death: Callable[[], None],
    *,
    interval_s: float = INTERVAL_S,
    is_alive: Callable[[int], bool] | None = None,
) -> threading.Event | None:
    """Call ``on_death`` on a thread of its own once the process has ended. To stop watching, set the returned event.

    Returns None if there is no such process. A client in another container or on another machine names a process that
    we cannot see; it leaves by closing the stream.
    """
    alive = is_alive or process_is_alive
    if not alive(process_id):
        log.info("process %d of the client cannot be seen from here and is not watched", process_id)
        return None
    stopped = threading.Event()
    # The parent's id changes when it dies, even while its entry in the process table still waits to be collected.
    is_parent = os.getppid() == process_id

    def watch() -> None:
        while not stopped.wait(interval_s):
            if (is_parent and os.getppid() != process_id) or not alive(process_id):
                on_death()
                return

    threading.Thread(target=watch, name="midtoken-watchdog", daemon=True).start()
    return stopped


def process_is_alive(process_id: int) -> bool:
    """Whether a process with this id exists."""
    if process_id <= 0:
        return False
    if sys.platform == "win32":
        return _is_alive_on_windows(process_id)
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


if sys.platform == "win32":

    def _is_alive_on_windows(process_id: int) -> bool:
        # os.kill would end the process here, whatever the signal.
        import ctypes

        synchronize, timed_out = 0x00100000, 0x00000102
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(synchronize, False, process_id)
        if not handle:
            return False
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == timed_out)
        finally:
            kernel.CloseHandle(handle)
