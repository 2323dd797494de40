"""Puts a finished folder in its place: it is built beside it and renamed at the end, so an unfinished folder is
never seen.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ExportError
from engine.model_folder.manifest import MANIFEST_NAME


def require_replaceable(out: Path) -> None:
    """Errors: ExportError if ``out`` is a file, or a folder that holds other things than a model."""
    if out.is_file():
        raise ExportError(f"{out} is a file; name a folder to export to")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_NAME).exists():
        raise ExportError(f"{out} holds other files and no {MANIFEST_NAME}; name an empty or a new folder")


@contextlib.contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A new folder beside ``out``, on the same file system. It is removed at the end unless it was moved away.

    Errors: ExportError if it cannot be made, or if the body of the ``with`` raises an OSError (a full disk).
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise ExportError(f"cannot write beside {out} ({error.strerror}); choose another place") from None
    try:
        yield folder
    except OSError as error:
        raise ExportError(f"cannot write {out} ({error.strerror}); make room or choose another place") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap(folder: Path, out: Path) -> None:
    """Put ``folder`` in the place of ``out``. If the second rename fails, the old folder is renamed back."""
    folder.chmod(0o755)  # made private by mkdtemp
    if not out.exists():
        folder.rename(out)
        return
    old = folder.with_suffix(".old")
    out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
