"""What is remembered of a trial, and what makes it invalid."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ModelFolderError
from engine.probe import verdicts
from engine.probe.verdicts import fingerprint_of, keep_problem, known_problem, verdict_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    return folder


def test_the_bytes_of_all_files_are_counted(folder):
    assert fingerprint_of(folder).file_bytes == 7
    assert fingerprint_of(folder) == fingerprint_of(folder)


def rewrite(path: Path) -> None:
    """Other content of the same length with the old time stamp, as unpacking an archive can leave it."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "config.json").write_text("{} "),
    "content of that length and time": lambda folder: rewrite(folder / "onnx" / "model.onnx"),
    "another file": lambda folder: (folder / "tokenizer.json").write_text(""),
    "a file less": lambda folder: (folder / "config.json").unlink(),
    "another name": lambda folder: (folder / "config.json").rename(folder / "onfig.json"),
    "a link": lambda folder: (folder / "link").symlink_to("config.json"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(folder, what):
    before = fingerprint_of(folder)
    time.sleep(0.02)  # the clock of file systems has a resolution of some milliseconds
    CHANGES[what](folder)
    assert fingerprint_of(folder).digest != before.digest


def test_another_place_or_library_is_another_trial(folder, monkeypatch):
    before = fingerprint_of(folder).digest
    assert fingerprint_of(folder / "onnx" / "model.onnx").digest != before
    monkeypatch.setattr(verdicts, "FORMAT", 0)
    assert fingerprint_of(folder).digest != before


def test_a_folder_of_everything_is_no_model(folder, monkeypatch):
    monkeypatch.setattr(verdicts, "MOST_FILES", 2)
    with pytest.raises(ModelFolderError, match="more than 2 files; give a folder with a model alone"):
        fingerprint_of(folder)


def test_a_loop_of_links_ends(folder):
    (folder / "loop").symlink_to(folder)
    fingerprint_of(folder)


def test_verdicts_are_kept(folder, tmp_path):
    kept, state = tmp_path / "a" / "kept", fingerprint_of(folder)
    assert known_problem(kept, state) is None
    keep_problem(kept, state, "")
    assert known_problem(kept, state) == ""
    keep_problem(kept, state, "too slow")
    assert known_problem(kept, state) == "too slow"
    assert len(list(kept.iterdir())) == 1
    (folder / "more").write_text("")
    assert known_problem(kept, fingerprint_of(folder)) is None


def test_a_refusal_counts_for_a_day_and_a_pass_for_ever(folder, tmp_path, monkeypatch):
    good, bad = fingerprint_of(folder), fingerprint_of(folder / "config.json")
    keep_problem(tmp_path, good, "")
    keep_problem(tmp_path, bad, "too slow")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_500)
    assert known_problem(tmp_path, bad) is None
    assert known_problem(tmp_path, good) == ""


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"problem": "x", "at": "y"}', b"\xff"], ids=repr)
def test_a_damaged_verdict_means_another_trial(folder, tmp_path, data):
    state = fingerprint_of(folder)
    (tmp_path / f"{state.digest}.json").write_bytes(data)
    assert known_problem(tmp_path, state) is None


def test_without_a_place_to_keep_them_nothing_breaks(folder, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (None, tmp_path / "file" / "below", Path("/proc/none")):
        keep_problem(place, fingerprint_of(folder), "")
        assert known_problem(place, fingerprint_of(folder)) is None


def test_they_stand_in_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert verdict_folder() == tmp_path / "midtoken" / "probed"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert verdict_folder() == tmp_path / ".cache" / "midtoken" / "probed"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert verdict_folder() is None
