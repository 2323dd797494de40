"""Verdicts on model folders, kept in the user's cache folder until a file of the model folder changes."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from engine.errors import ModelFolderError
from engine.model_folder.user_cache import keep_file, user_cache_folder
from engine.runtime.ort import ort

FORMAT = 1
"""Increased when trials change."""
MOST_FILES = 4096
MOST_DEPTH = 3
DAY_S = 86_400.0
"""A refusal counts for a day: the machine may have been busy, or out of memory."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A hexadecimal digest that identifies one state of a folder, and the size of its files in bytes."""

    digest: str
    file_bytes: int


def fingerprint_of(path: Path) -> Fingerprint:
    """The fingerprint of a folder, or of a graph and all files beside it. Raises `ModelFolderError` for too many."""
    folder = path if path.is_dir() else path.parent
    entries = sorted(_entries(folder, MOST_DEPTH))
    versions = (FORMAT, ort.__version__, tokenizers.__version__, sys.version_info[:2])
    state = json.dumps([versions, str(path.resolve()), entries])
    return Fingerprint(hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest(), sum(e[1] for e in entries))


def known_problem(folder: Path | None, fingerprint: Fingerprint) -> str | None:
    """What was wrong with the model; empty if it is good, None if that is not known."""
    if folder is None:
        return None
    try:
        verdict = json.loads((folder / _name(fingerprint)).read_text(encoding="utf-8"))
        problem, at = str(verdict["problem"]), float(verdict["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no verdict yet, or a damaged one: the model is tried again
    return problem if not problem or 0 <= time.time() - at < DAY_S else None


def keep_problem(folder: Path | None, fingerprint: Fingerprint, problem: str) -> None:
    """Keep a verdict. If the cache cannot be written, the model will be tried again; that is not an error."""
    if folder is not None:
        keep_file(folder / _name(fingerprint), json.dumps({"problem": problem, "at": time.time()}).encode())


def verdict_folder() -> Path | None:
    """Where verdicts are kept; None for a user without a home."""
    return user_cache_folder("probed")


def _name(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.digest}.json"


def _entries(folder: Path, depth: int) -> Iterator[tuple[str, int, int, int, int]]:
    """Name, size, times of change and inode number of every file; links are followed."""
    count = 0
    waiting = [(folder, depth)]
    while waiting:
        place, left = waiting.pop()
        for entry in _listed(place):
            count += 1
            if count > MOST_FILES:
                raise ModelFolderError(f"{folder} holds more than {MOST_FILES} files; give a folder with a model alone")
            name = str(Path(entry.path).relative_to(folder))
            with suppress(OSError):
                if entry.is_dir() and left > 1:
                    waiting.append((Path(entry.path), left - 1))
                found = entry.stat()
                size = found.st_size if entry.is_file() else 0
                yield name, size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _listed(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []  # loading says what is wrong with the folder
