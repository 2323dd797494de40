"""The model gives way to the editor."""

import os
import sys
import threading

import psutil

NICENESS = 5
"""About a third of the time that a program of ordinary priority gets where both want a processor."""


def give_way() -> None:
    """Lower the priority of this thread and of those that it starts, which run the model.

    Where the system knows no priorities of threads it is that of the process. Where it is not allowed nothing happens:
    this is a courtesy.
    """
    try:
        if sys.platform == "linux":
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
        elif sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process = psutil.Process()
            process.nice(max(NICENESS, process.nice()))
    except (OSError, psutil.Error):
        return
