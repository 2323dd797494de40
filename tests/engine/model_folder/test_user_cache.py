"""Files of the cache: complete or not there, and nothing is raised where they cannot be written."""

from pathlib import Path

import pytest

from engine.model_folder.user_cache import keep_file


def test_a_file_is_kept_with_its_folders_and_replaced(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b" / "file"
    for data in (b"one", b""):
        keep_file(place, data)
        assert place.read_bytes() == data
    assert list(place.parent.iterdir()) == [place]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"
    keep_file(place, b"before")

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        keep_file(place, b"after")
    assert list(tmp_path.iterdir()) == [place]
    assert place.read_bytes() == b"before"


def test_where_no_folder_can_be_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    keep_file(tmp_path / "file" / "inner", b"data")
    assert (tmp_path / "file").read_text() == "no folder"
