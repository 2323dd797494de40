"""The folder in the user's cache, and how a file is kept there. What is in it only saves time."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def user_cache_folder(name: str) -> Path | None:
    """The folder ``name`` among our own in the user's cache; None for a user without a home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "midtoken" / name if base else None
    except RuntimeError:
        return None


def keep_file(place: Path, data: bytes) -> None:
    """Write a file of the cache, complete or not at all. If it cannot be written, nothing happens."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as stream:
            temporary = Path(stream.name)
        try:
            temporary.write_bytes(data)
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
