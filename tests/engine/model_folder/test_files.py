"""Files of a model folder, which may come from anybody."""

import os
import sys
from pathlib import Path

import pytest

from engine.errors import ModelFolderError
from engine.model_folder.files import file_size, read_json, read_text_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"a": "ü"}', encoding="utf-8")
    (tmp_path / "secret").write_text("secret")
    return folder


def refused(folder: Path, name: str, says: str, most: int = 100) -> None:
    with pytest.raises(ModelFolderError, match=says) as caught:
        read_json(folder, name, most)
    assert "\n" not in str(caught.value)


def test_what_is_good_is_read(folder):
    assert file_size(folder, "config.json") == 11
    assert read_text_file(folder, "config.json", 11) == '{"a": "ü"}'
    assert read_json(folder, "config.json") == {"a": "ü"}
    (folder / "link").symlink_to("config.json")
    assert read_json(folder, "link") == {"a": "ü"}


def test_what_is_absent_is_told_apart(folder):
    with pytest.raises(FileNotFoundError):
        read_json(folder, "absent")


def test_a_link_that_leads_nowhere_is_not_absent(folder):
    (folder / "dangling").symlink_to("absent")
    refused(folder, "dangling", "leads nowhere")
    (folder / "loop").symlink_to("loop")
    refused(folder, "loop", "cannot be read")


@pytest.mark.parametrize("target", ["../secret", "/dev/zero", "/proc/self/environ"])
def test_a_link_out_of_the_folder(folder, target):
    (folder / "link").symlink_to(target)
    refused(folder, "link", "lies outside .* that consists of links")


@pytest.mark.parametrize("name", ["../secret", "{absolute}"])
def test_a_name_out_of_the_folder(folder, name):
    refused(folder, name.format(absolute=folder / "config.json"), "lies outside")


def test_a_name_that_no_file_can_have(folder):
    refused(folder, "a\0b", "cannot be read")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_not_opened(folder):
    os.mkfifo(folder / "pipe")
    refused(folder, "pipe", "is not a regular file")


def test_a_folder_is_no_file(folder):
    refused(folder, ".", "is not a regular file")


def test_a_file_that_is_too_long_is_not_read(folder):
    with (folder / "config.json").open("ab") as stream:
        stream.truncate(1 << 40)  # sparse: it takes no space on the disk
    refused(folder, "config.json", "1099511627776 bytes, and at most 100 are read")


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\xff", "cannot be read"), (b"{", "as JSON"), (b"[" * 90_000, "as JSON"), (b"[]", "JSON object")],
    ids=lambda value: repr(value[:8]),
)
def test_what_is_no_json(folder, data, says):
    (folder / "config.json").write_bytes(data)
    refused(folder, "config.json", says, most=100_000)
