"""In every command and in the setting, ``--model`` takes a name of ``midtoken models`` as well as a folder."""

import json
from pathlib import Path

import pytest

from engine import ModelFolderError, RequestError
from lsp_server.models.lookup import model_folder
from tests.lsp_server.commands.command_line import StubCompleter, forget_settings, make_model_folder, run
from tests.lsp_server.models.fake_machine import put_file, put_ollama, registry_at


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    forget_settings(monkeypatch)
    registry = registry_at(tmp_path)
    monkeypatch.setattr("lsp_server.models.registry.this_registry", lambda: registry)
    make_model_folder(registry.machine.store / "mine")
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m")
    monkeypatch.chdir(tmp_path)
    return registry


def test_a_name_completes(registry, write, capsys: pytest.CaptureFixture[str]):
    outcome = run(capsys, "complete", "--prefix-file", write("retu"), "--model", "mine", "--json")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["model"]["path"] == str(registry.machine.store / "mine")
    inspected = json.loads(run(capsys, "inspect", "--model", "mine", "--json").out)
    assert inspected["model"]["path"] == str(registry.machine.store / "mine")


def test_the_environment_names_one_too(registry, write, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MIDTOKEN_MODEL", "mine")
    outcome = run(capsys, "complete", "--prefix-file", write("retu"), "--json")
    assert json.loads(outcome.out)["model"]["path"] == str(registry.machine.store / "mine")


def test_bundled_is_a_name(registry, write, capsys, stub: StubCompleter):
    assert run(capsys, "complete", "--prefix-file", write("x"), "--model", "bundled").status == 0
    (loaded,) = stub.loaded
    assert loaded[0] == registry.folder("bundled")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("smol:135m", "smol:135m is still to be added: midtoken models add smol:135m"),
        ("unknown", "no model is called 'unknown'; 'midtoken models' lists them"),
        ("./x.gguf", "x.gguf is still to be added: midtoken models add x.gguf"),
    ],
)
def test_names_that_cannot_be_used(registry, write, capsys, tmp_path: Path, name: str, error: str):
    put_file(tmp_path / "x.gguf")
    outcome = run(capsys, "complete", "--prefix-file", write("x"), "--model", name)
    assert outcome.error == error


def test_the_server_finds_by_name(registry):
    assert model_folder("mine") == registry.machine.store / "mine"
    with pytest.raises(RequestError, match="no model is called 'unknown'"):
        model_folder("unknown")
    with pytest.raises(ModelFolderError, match="still to be added"):
        model_folder("smol:135m")
