"""What a user's name or path means."""

from pathlib import Path

import pytest

from engine import BUNDLED_MODEL, ModelFolderError, RequestError
from lsp_server.models.names import check_new_name, name_or_path
from tests.lsp_server.commands.command_line import make_model_folder
from tests.lsp_server.models.fake_machine import put_file, put_ollama, registry_at


@pytest.mark.parametrize("text", ["./m", "../m", "~/m", "/m", "C:\\m", "a\\b", "m.gguf", "dir/m.GGUF", "m.onnx", "."])
def test_what_can_only_be_a_path(text: str):
    assert name_or_path(text) == Path(text)


@pytest.mark.parametrize("text", ["qwen2.5-coder:0.5b", "bundled", "org/name", "hf.co/a/b:Q4"])
def test_what_is_a_name_where_no_folder_is(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert name_or_path(text) == text


def test_a_folder_that_is_there_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/name").mkdir(parents=True)
    assert name_or_path("org/name") == Path("org/name")


def test_folders_of_names(tmp_path: Path):
    make_model_folder(tmp_path / "store/mine")
    registry = registry_at(tmp_path)
    assert registry.folder("bundled") == BUNDLED_MODEL
    assert registry.folder("mine") == tmp_path / "store/mine"
    assert registry.folder(tmp_path / "anything") == tmp_path / "anything"


def test_the_small_model_has_a_name_of_its_own(tmp_path: Path):
    registry = registry_at(tmp_path)
    put_ollama(tmp_path / "home/.ollama/models", "small")
    assert registry.folder("small") == BUNDLED_MODEL
    assert "small" not in {row.name for row in registry.table().entries}
    with pytest.raises(RequestError, match="'Small' is a name of the model that comes with Midtoken"):
        check_new_name("Small")
    # A model that was added under a name before we used that name keeps it.
    make_model_folder(tmp_path / "store/small")
    assert registry.folder("small") == tmp_path / "store/small"


def test_names_that_cannot_be_used_say_what_to_do(tmp_path: Path):
    root = tmp_path / "home/.ollama/models"
    put_ollama(root, "usable:1")
    put_ollama(root, "broken:1", b"nothing")
    registry = registry_at(tmp_path)
    with pytest.raises(ModelFolderError, match="usable:1 is still to be added: midtoken models add usable:1"):
        registry.folder("usable:1")
    with pytest.raises(ModelFolderError, match=r"broken:1 cannot be used: .* is no GGUF file"):
        registry.folder("broken:1")
    with pytest.raises(RequestError, match="no model is called 'unknown'; 'midtoken models' lists them"):
        registry.folder("unknown")
    path = put_file(tmp_path / "x.gguf")
    with pytest.raises(ModelFolderError, match=r"x.gguf is still to be added: midtoken models add "):
        registry.folder(path)
    with pytest.raises(RequestError, match="cannot be read"):
        registry.entry(tmp_path / "nothing.gguf")


def test_names_are_never_folders_of_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An editor may start the server anywhere, so a name must never mean a folder of the current project."""
    monkeypatch.chdir(tmp_path)
    make_model_folder(tmp_path / "trap")
    with pytest.raises(RequestError, match="no model is called 'trap'"):
        registry_at(tmp_path).folder("trap")
