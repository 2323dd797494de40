"""Whether a source is still the one that was converted, without reading all of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_ENDS_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Size, time of the last change, and a digest of the ends and of samples between."""

    bytes: int
    modified_ns: int
    digest: str

    def is_of(self, path: Path) -> bool:
        """Whether a source is as it was. A file that was only touched, or copied back, is.

        Raises OSError if it cannot be read.
        """
        files = _files(path)
        if _size(files) != self.bytes:
            return False
        return _modified(files) == self.modified_ns or _digest(path, files) == self.digest


def fingerprint(path: Path) -> Fingerprint:
    """Of a file, or of all weights and configurations of a folder. Raises OSError if it cannot be read."""
    files = _files(path)
    return Fingerprint(_size(files), _modified(files), _digest(path, files))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _modified(files: list[Path]) -> int:
    return max((file.stat().st_mtime_ns for file in files), default=0)


def _digest(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        name = "" if file == path else file.relative_to(path).as_posix()
        digest.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_ENDS_BYTES))
            for sample in range(1, _SAMPLES + 1):
                stream.seek(size * sample // (_SAMPLES + 1))
                digest.update(stream.read(_SAMPLE_BYTES))
            stream.seek(max(0, size - _ENDS_BYTES))
            digest.update(stream.read(_ENDS_BYTES))
    return digest.hexdigest()
