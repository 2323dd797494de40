"""Notices a source that is replaced, changed or removed while it is read, whatever library reads it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import Cancelled, ExportError

_READ = frozenset({".json", ".safetensors"})
"""Endings of the files of a checkpoint that the result depends on."""
_Stamp = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of the last change of every file."""


@contextlib.contextmanager
def unchanged(source: Path) -> Iterator[Callable[[], None]]:
    """Gives a function that raises `ExportError` once ``source``, a file or a checkpoint folder, has changed since the
    beginning. An error of the body becomes that one too if the source has changed, because that is then the cause.
    """
    before = _stamp(source)

    def check() -> None:
        if _stamp(source) != before:
            raise _changed(source)

    try:
        yield check
    except Cancelled:
        raise
    except Exception as error:
        if _stamp(source) == before:
            raise
        raise _changed(source) from error


def _changed(source: Path) -> ExportError:
    if not source.exists():
        return ExportError(f"{source} cannot be read any more; fetch it again")
    return ExportError(f"{source} has changed while it was read; try again when its download is finished")


def _stamp(source: Path) -> _Stamp:
    """Empty if nothing is there, which the reader itself tells."""
    try:
        files = [file for file in source.iterdir() if file.suffix in _READ] if source.is_dir() else [source]
        stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return frozenset()
    return frozenset((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
