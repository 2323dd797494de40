"""SHA-256 sums that were computed before, kept in the user's cache by what identifies one state of a file.

Reading some hundred megabytes again at each load takes half a second. A file counts as unchanged while its size, its
inode number and its times of change are the same. The system sets one of these times itself, so a file cannot be
changed without changing it. A file that was changed moments ago may be changed again within the same tick of the clock,
so its sum is not kept.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from engine.model_folder.user_cache import keep_file

LEAST_BYTES = 64 << 20
"""Sums of smaller files are not kept: reading them takes only some hundredths of a second."""
SETTLED_NS = 2_000_000_000
"""A file that is younger than this may be changed again without a sign, because the coarsest clocks of file systems
tick every two seconds.
"""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks of one MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def known_sha256_of(path: Path, folder: Path | None) -> str:
    """The same, looked up in ``folder`` if the file is unchanged since it was read. If ``folder`` is None, the file is
    always read.

    Raises `OSError` if the file cannot be read. A cache that cannot be written is not an error.
    """
    state = _state(path)
    if folder is None or state[0] < LEAST_BYTES:
        return sha256_of(path)
    place = folder / _name(path, state)
    known = ""
    with suppress(OSError, ValueError):
        known = place.read_text(encoding="ascii").strip()
    if len(known) == hashlib.sha256().digest_size * 2:
        return known
    found = sha256_of(path)
    if _state(path) == state and max(state[1:3]) + SETTLED_NS < time.time_ns():
        keep_file(place, found.encode("ascii"))
    return found


def _state(path: Path) -> tuple[int, int, int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _name(path: Path, state: tuple[int, ...]) -> str:
    whole = "\0".join([str(path.resolve()), *map(str, state)])
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
