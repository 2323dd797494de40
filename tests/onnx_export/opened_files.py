"""Files that stop being there, or disks that are full, at a chosen moment of the conversion."""

import builtins
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

FULL_DISK = Path("/dev/full")
"""Takes no byte: Linux says of it what it says of a disk without room."""


@contextmanager
def opened_through(change: Callable[[Path, str], Path]) -> Iterator[None]:
    """Within, every file that Python code opens is the one that ``change`` makes of its path and mode."""
    plain = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        return plain(file if isinstance(file, int) else change(Path(file), mode), mode, *arguments, **named)

    with mock.patch.object(io, "open", opened), mock.patch.object(builtins, "open", opened):
        yield


@contextmanager
def full_disk(name: str) -> Iterator[None]:
    """Within, nothing can be written to files of that name."""
    with opened_through(lambda path, mode: FULL_DISK if path.name == name and "w" in mode else path):
        yield


@contextmanager
def before_opening(folder: Path, count: int, do: Callable[[], object]) -> Iterator[list[Path]]:
    """Within, ``do`` is called once, before a file of ``folder`` is opened for the ``count``-th time, from 0. Gives the
    list of the files that were opened.
    """
    found: list[Path] = []

    def change(path: Path, mode: str) -> Path:
        if path.is_relative_to(folder):
            found.append(path)
            if len(found) == count + 1:
                do()
        return path

    with opened_through(change):
        yield found
