"""Shared by the installers of editors: where editors are kept, and commands that fail with one line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CACHE_VARIABLE = "MIDTOKEN_EDITORS_CACHE"


class InstallError(Exception):
    """An editor cannot be had here; the message says why and what to do."""


def cache_folder() -> Path:
    """Where editors are kept between runs: outside the work tree, so that a clean checkout finds them too."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache/midtoken-editors"


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """The standard output of a command that succeeds within twenty minutes.

    Raises:
        InstallError: it is not there or fails; the message has the last line of what it said.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment, cwd=folder, timeout=1200
        )
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is not there") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"{command[0]} {command[-1]} did not end within twenty minutes") from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or [f"status {error.returncode}"]
        raise InstallError(f"{command[0]} {command[-1]} failed: {lines[-1]}") from None
    return done.stdout
