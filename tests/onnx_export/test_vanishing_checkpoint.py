"""A checkpoint that is removed, replaced or changed while it is read: one line says so, and nothing is left behind."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from engine.errors import ExportError
from onnx_export import export as module
from onnx_export.export import export_checkpoint
from tests.onnx_export.opened_files import FULL_DISK, before_opening, full_disk

FILES = ("config.json", "tokenizer.json", "model.safetensors")


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    """A checkpoint folder that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def removed(path: Path) -> None:
    path.unlink()


def of_another_model(path: Path) -> None:
    """A file of the same length in its place, as `mv` puts it there."""
    data = path.read_bytes()
    new = path.with_suffix(".new")
    new.write_bytes(data[: len(data) // 2] + data[: len(data) - len(data) // 2])
    new.replace(path)


def shortened(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def refused(checkpoint: Path) -> str:
    """What an export says; nothing but the checkpoint may be left."""
    out = checkpoint.parent / "out"
    with pytest.raises(ExportError) as caught:
        export_checkpoint(checkpoint, out, precision="fp32", check=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in checkpoint.parent.iterdir() if path != checkpoint] == []
    return str(caught.value)


def opened_by_an_export(checkpoint: Path) -> int:
    with before_opening(checkpoint, -2, lambda: None) as opened:
        export_checkpoint(checkpoint, checkpoint.parent / "out", precision="fp32", check=False)
    shutil.rmtree(checkpoint.parent / "out")
    return len(opened)


@pytest.mark.parametrize("change", [removed, of_another_model, shortened, with_its_folder])
def test_whenever_it_happens(copy: Path, change: Callable[[Path], None]) -> None:
    kept = copy.parent.parent / f"{copy.parent.name}-kept"
    shutil.copytree(copy, kept)
    count = opened_by_an_export(copy)
    assert count > 10
    for name in FILES:
        for moment in (0, 1, 3, 5, count // 2, count - 1):
            with before_opening(copy, moment, partial(change, copy / name)):
                assert "changed while it was read; try again" in refused(copy) or not copy.exists()
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(kept, copy)


@pytest.mark.parametrize("moment", ["before it is checked", "at the end"])
def test_a_builder_of_another_library_is_watched_too(copy: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """What it raises for a file that is gone is its own affair."""

    def build(*_: object) -> object:
        (copy / "model.safetensors").unlink()
        raise RuntimeError("safetensors: file not found\nat line 17")

    def check(*_: object) -> bool:
        (copy / "tokenizer.json").write_text("{}")
        return True

    name, function = ("_build_graph", build) if moment == "before it is checked" else ("_validate", check)
    monkeypatch.setattr(module, name, function)
    out = copy.parent / "out"
    with pytest.raises(ExportError, match="changed while it was read; try again"):
        export_checkpoint(copy, out, precision="fp32")
    assert list(copy.parent.iterdir()) == [copy]


def test_what_an_export_does_not_read_may_change(copy: Path) -> None:
    with before_opening(copy, 5, lambda: (copy / "trainer.log").write_text("step 7")):
        export_checkpoint(copy, copy.parent / "out", precision="fp32", check=False)
    assert (copy.parent / "out").is_dir()


@pytest.mark.skipif(not FULL_DISK.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "midtoken.json"])
def test_a_disk_that_is_full_at_any_file(copy: Path, name: str) -> None:
    with full_disk(name):
        assert "(No space left on device); make room or choose another place" in refused(copy)
