"""The files of a model folder: regular ones inside it, of bounded size. Nothing else is ever opened.

A folder may come from anybody. Opening a pipe would block, a link could read a private file of the user, and a
configuration of gigabytes would fill the memory. So all of that is checked first.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import ModelFolderError, reason_of
from engine.model_folder.json_fields import shown

MOST_JSON_BYTES = 4 << 20
"""Limit for a manifest or a configuration; real ones have some kilobytes."""
MOST_TOKENIZER_BYTES = 64 << 20
"""Limit for a ``tokenizer.json``; the largest published ones have 35 MB."""


def file_size(folder: Path, name: str, most_bytes: int | None = None) -> int:
    """The size in bytes of the regular file ``name`` of ``folder``. Links are followed.

    Raises `FileNotFoundError` if there is none. Raises `ModelFolderError` if it is not a regular file, if a link leads
    out of the folder, or if the file has more than ``most_bytes``.
    """
    path = folder / name
    try:
        found = path.stat() if is_inside(folder, name) else None
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ModelFolderError(f"{path} is a link that leads nowhere; copy the model again") from error
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, or a link to itself
        # The system's own message repeats the whole name, which may be as long as a manifest.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else reason_of(error)
        raise ModelFolderError(f"{shown(name)} of {folder} cannot be read ({reason}); copy the model again") from error
    if found is None:
        raise ModelFolderError(
            f"{path} lies outside {folder}; do not use this folder"
            " (or copy it with real files, if it is a download cache's that consists of links)"
        )
    if not stat.S_ISREG(found.st_mode):
        raise ModelFolderError(f"{path} is not a regular file; do not use this folder")
    if most_bytes is not None and found.st_size > most_bytes:
        raise ModelFolderError(
            f"{path} has {found.st_size} bytes, and at most {most_bytes} are read; do not use this folder"
        )
    return found.st_size


def is_inside(folder: Path, name: str) -> bool:
    """Whether a relative name, with links followed, is inside the folder; true if no file can have the name."""
    try:
        return not Path(name).is_absolute() and (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return True


def file_exists(folder: Path, name: str) -> bool:
    """Whether something has that name. A link that leads nowhere counts: whoever reads it reports what is wrong."""
    return os.path.lexists(folder / name)


def read_text_file(folder: Path, name: str, most_bytes: int) -> str:
    """A text file of the folder. Raises as `file_size`, and `ModelFolderError` if it is not UTF-8."""
    most = file_size(folder, name, most_bytes)
    try:
        with (folder / name).open("rb") as stream:
            return stream.read(most).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{folder / name} cannot be read ({error}); copy the model again") from None


def read_json(folder: Path, name: str, most_bytes: int = MOST_JSON_BYTES) -> Mapping[str, Any]:
    """A JSON object of the folder. Raises as `file_size`, and `ModelFolderError` if it is not one."""
    try:
        raw = json.loads(read_text_file(folder, name, most_bytes))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{folder / name} cannot be read as JSON ({error}); copy the model again") from None
    if not isinstance(raw, dict):
        raise ModelFolderError(f"{folder / name} does not hold a JSON object; copy the model again")
    return raw
