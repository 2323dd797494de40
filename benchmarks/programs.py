"""Python programs as whole processes, started like a user's installed programs, and the memory that they take."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import engine
from benchmarks import bare


def environment(cache: Path) -> dict[str, str]:
    """Our environment, with our packages found where this process found them, and compiled modules kept below
    ``cache``.

    An installed program has its modules compiled, which a source tree may forbid. No user settings apply, and nothing
    is imported from the current folder or from the folders of a project's ``PYTHONPATH``.
    """
    roots = [str(Path(file).parents[1]) for file in (engine.__file__, bare.__file__)]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("MIDTOKEN_")
    }
    path = os.pathsep.join(dict.fromkeys(roots))
    return {**inherited, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONPYCACHEPREFIX": str(cache)}


def start(arguments: Sequence[str], env: dict[str, str], stderr: int | None = None) -> "subprocess.Popen[bytes]":
    """Run Python with ``arguments``, its standard input and output as pipes."""
    return subprocess.Popen(
        [sys.executable, *arguments], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )


def timed(arguments: Sequence[str], env: dict[str, str], text: str) -> tuple[float, str]:
    """Milliseconds from the start of a process to its end with ``text`` on its standard input, and what it printed."""
    started = time.perf_counter()
    with start(arguments, env) as process:
        out, _ = process.communicate(text.encode("utf-8"))
    elapsed = (time.perf_counter() - started) * 1000
    if process.returncode != 0:
        raise RuntimeError(f"{arguments[0]} {arguments[1]} ended with status {process.returncode}")
    return elapsed, out.decode("utf-8")


def peak_memory_bytes(pid: int) -> int:
    """Peak resident memory of a process if the system records it, otherwise the present memory; 0 without psutil."""
    try:
        return bare.peak_memory_of(Path(f"/proc/{pid}/status"))
    except (OSError, IndexError):
        pass
    try:
        import psutil
    except ImportError:
        return 0
    memory = psutil.Process(pid).memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, user and system; NaN without psutil."""
    try:
        import psutil
    except ImportError:
        return math.nan
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Usage:
    """The present resources of a process; ``resident`` is in bytes."""

    resident: int
    threads: int
    files: int


def usage(pid: int) -> Usage:
    """Memory, threads and open files of a process. Needs psutil."""
    import psutil

    process = psutil.Process(pid)
    files = process.num_handles() if sys.platform == "win32" else process.num_fds()
    return Usage(int(process.memory_info().rss), int(process.num_threads()), int(files))
