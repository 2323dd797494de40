"""The parent process: starts a trial, waits for at most its time limit, and stores the verdict."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.errors import ModelFolderError
from engine.loading import BUNDLED_MODEL
from engine.probe.limits import Limits
from engine.probe.verdicts import fingerprint_of, keep_problem, known_problem, verdict_folder
from engine.types import CancellationToken

POLL_S = 0.02
GRACE_S = 5.0
"""Extra seconds for the child, whose own clock starts a little later and should end it first."""
LONGEST_PROBLEM = 2000
_PASSED, _REFUSED = 0, 3


def probe_model(path: Path | None, cancel: CancellationToken | None = None) -> None:
    """Try a model folder, or a graph in one, in a process of its own, unless it was tried before and is unchanged.

    Blocks for as long as loading it and a short completion take, with limits on time and memory. The bundled model
    (also None) is not tried, because it came with this program. Raises `ModelFolderError` if the folder is refused,
    exceeds a limit, or ends the process, and `Cancelled` soon after ``cancel`` is set.
    """
    if path is None or path.resolve() == BUNDLED_MODEL.resolve():
        return
    if not path.exists():
        raise ModelFolderError(f"no model folder at {path}; give a folder that holds a model")
    fingerprint, folder = fingerprint_of(path), verdict_folder()
    problem = known_problem(folder, fingerprint)
    if problem is None:
        limits = Limits.of(fingerprint.file_bytes)
        command = [*child_command(), str(path), str(limits.seconds), str(limits.address_space)]
        problem = run_trial(command, path, limits, cancel or CancellationToken())
        keep_problem(folder, fingerprint, problem)
    if problem:
        raise ModelFolderError(problem)


def child_command() -> list[str]:
    """The command that starts Python as it runs here. The current folder and the folders of ``PYTHONPATH`` may belong
    to anybody, so they do not come before the places from which this process imports.
    """
    places = [place for place in sys.path if place]
    program = f"import os, sys; sys.path[:] = {places!r}; from engine.probe.__main__ import main; os._exit(main())"
    return [sys.executable, "-I", "-c", program]


def run_trial(command: Sequence[str], path: Path, limits: Limits, cancel: CancellationToken) -> str:
    """What a child found wrong with the model at ``path``; empty if nothing is. Raises `Cancelled`."""
    quiet = {"OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0", "PYTHONWARNINGS": "ignore"}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        return f"{path} cannot be tried in a process of its own ({error.strerror}); free some memory or processes"
    ended = time.monotonic() + limits.clock_seconds + GRACE_S
    try:
        while child.poll() is None and time.monotonic() < ended:
            cancel.raise_if_cancelled()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(POLL_S)
        return _verdict(child, path, limits)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _verdict(child: "subprocess.Popen[bytes]", path: Path, limits: Limits) -> str:
    status = child.poll()
    if status == _PASSED:
        return ""
    if status == _REFUSED and child.stdout is not None:
        with contextlib.suppress(ValueError):
            return str(json.loads(child.stdout.read(8 * LONGEST_PROBLEM)))[:LONGEST_PROBLEM]
    if status is None or (sys.platform != "win32" and -status in (signal.SIGALRM, signal.SIGXCPU)):
        return f"{path} took longer than {limits.seconds:.0f} s of work to be loaded and run once; use another model"
    return f"{path} ended the process that tried it (status {status}), by its memory or an error; use another model"
