"""The model gives way to the editor."""

import os
import sys
import threading

import psutil

NICENESS = 5
"""Gives about a third of the time of a program with ordinary priority, if both want the same processor."""


def give_way() -> None:
    """Lower the priority of this thread and of those that it starts, which run the model.

    If the system has no thread priorities, the priority of the process is lowered. If that is not allowed, nothing
    happens.
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
