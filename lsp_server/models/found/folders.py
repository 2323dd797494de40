"""Reads the folders of other programs: bounded, in order, and never outside them."""

import os
from collections.abc import Iterator
from pathlib import Path

from engine import reason_of

MOST_ENTRIES = 20_000
"""Of one store; a folder with more is not where models are kept."""
MOST_TEXT_BYTES = 1 << 20

OUTSIDE = "it is a link that leaves {root}; add what it leads to by its path"
NOWHERE = "it is a link to a file that is gone; fetch it again"


def problem_of(path: Path, root: Path) -> str:
    """Why a file of a store must not be read; empty if it may."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            return OUTSIDE.format(root=root)
        if not real.is_file():
            return "it is no regular file"
    except FileNotFoundError:
        return NOWHERE if path.is_symlink() else "its file is gone; fetch it again"
    except (OSError, RuntimeError) as error:  # no permission; a link to itself
        return f"it cannot be read ({reason_of(error)})"
    return ""


def read_small(path: Path, root: Path, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
    """The bytes of a file of a store. Raises ValueError with what is wrong: outside, too large, not to be read."""
    if problem := problem_of(path, root):
        raise ValueError(problem)
    try:
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read ({reason_of(error)})") from None
    if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes")
    return data


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; empty if there is no such folder. Raises OSError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for _, entry in zip(range(MOST_ENTRIES), entries, strict=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_below(folder: Path, depth: int) -> Iterator[Path]:
    """Files and links to files at most ``depth`` folders down, sorted. Folders behind links are not entered.

    Raises OSError if a folder cannot be read.
    """
    count = 0
    pending = [(folder, depth)]
    while pending:
        place, left = pending.pop()
        folders = []
        for name in names_in(place):
            count += 1
            if count > MOST_ENTRIES:
                return
            path = place / name
            if path.is_dir() and not path.is_symlink():
                folders.append((path, left - 1))
            elif not path.is_dir():
                yield path
        pending += reversed([place for place in folders if place[1] >= 0])
