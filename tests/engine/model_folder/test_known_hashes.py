"""Hashes that are looked up instead of computed, and when they are not."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from engine.model_folder import known_hashes
from engine.model_folder.known_hashes import SETTLED_NS, known_sha256_of, sha256_of

LEAST_BYTES = 1000
LONG_AGO = time.time_ns() - 10 * SETTLED_NS


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hashes, "LEAST_BYTES", LEAST_BYTES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"a" * LEAST_BYTES)
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file old enough."""
    monkeypatch.setattr(
        "engine.model_folder.known_hashes.time.time_ns", lambda: time.monotonic_ns() + LONG_AGO + 1000 * SETTLED_NS
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []

    def counted(path: Path) -> str:
        found.append(path)
        return sha256_of(path)

    monkeypatch.setattr(known_hashes, "sha256_of", counted)
    return found


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once(file: Path, tmp_path: Path, reads: list[Path]):
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert [known_sha256_of(file, tmp_path / "sums") for _ in range(3)] == [expected] * 3
    assert len(reads) == 1


@pytest.mark.usefixtures("later")
def test_a_changed_file_is_read_again_whatever_its_time_says(file: Path, tmp_path: Path, reads: list[Path]):
    known_sha256_of(file, tmp_path / "sums")
    times = file.stat()
    file.write_bytes(b"b" * LEAST_BYTES)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert known_sha256_of(file, tmp_path / "sums") == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_another_file_in_its_place_is_read(file: Path, tmp_path: Path, reads: list[Path]):
    known_sha256_of(file, tmp_path / "sums")
    other = tmp_path / "other"
    other.write_bytes(b"c" * LEAST_BYTES)
    other.replace(file)
    assert known_sha256_of(file, tmp_path / "sums") == hashlib.sha256(b"c" * LEAST_BYTES).hexdigest()


def test_a_file_that_was_just_written_is_not_kept(file: Path, tmp_path: Path, reads: list[Path]):
    for _ in range(2):
        known_sha256_of(file, tmp_path / "sums")
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("kept", [b"", b"\xff\xff", b"0123"])
def test_a_damaged_sum_means_that_the_file_is_read(file: Path, tmp_path: Path, reads: list[Path], kept: bytes):
    known_sha256_of(file, tmp_path / "sums")
    (place,) = (tmp_path / "sums").iterdir()
    place.write_bytes(kept)
    assert known_sha256_of(file, tmp_path / "sums") == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_without_a_place_nothing_breaks(file: Path, tmp_path: Path, reads: list[Path]):
    (tmp_path / "file").write_text("")
    for place in (None, tmp_path / "file" / "below"):
        assert known_sha256_of(file, place) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_small_files_are_always_read(tmp_path: Path, reads: list[Path]):
    (tmp_path / "small").write_bytes(b"x")
    known_sha256_of(tmp_path / "small", tmp_path / "sums")
    assert not (tmp_path / "sums").exists()
