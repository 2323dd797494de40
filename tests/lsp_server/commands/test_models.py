"""``midtoken models`` as a user runs it."""

import json
from pathlib import Path

import pytest

from lsp_server.commands.tables import columns, count, shortened, size
from tests.lsp_server.commands.command_line import Outcome, run, run_process
from tests.lsp_server.models.fake_machine import FakeConverter, put_ollama, registry_at


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    registry = registry_at(tmp_path, FakeConverter())
    monkeypatch.setattr("lsp_server.commands.models.this_registry", lambda: registry)
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m")
    put_ollama(registry.machine.home / ".ollama/models", "broken:1", b"nothing")
    return registry


@pytest.mark.parametrize("arguments", [("models",), ("models", "list")])
def test_the_table(registry, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]):
    outcome = run(capsys, *arguments)
    assert outcome.status == 0
    assert outcome.err == ""
    title, bundled, smol, broken, reason = outcome.out.splitlines()
    assert title.split()[:3] == ["name", "where", "parameters"]
    assert bundled.split()[:2] == ["bundled", "bundled"]
    assert bundled.endswith("ready")
    assert smol.split("  ")[0] == "smol:135m"
    for word in ("Ollama", "135 M", "Q4_1", "8192", "yes", "apache-2.0", "to be added"):
        assert word in smol
    assert broken.endswith("cannot be used")
    assert reason.startswith("    ")
    assert "is no GGUF file" in reason


@pytest.mark.parametrize(
    "arguments", [("models", "--json"), ("models", "list", "--json"), ("models", "--json", "list")]
)
def test_json(registry, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]):
    models = json.loads(run(capsys, *arguments).out)["models"]
    assert [(model["name"], model["state"]) for model in models] == [
        ("bundled", "ready"),
        ("smol:135m", "convertible"),
        ("broken:1", "unusable"),
    ]


def test_stores_that_cannot_be_read_are_noted(registry, capsys, monkeypatch: pytest.MonkeyPatch):
    def files_below(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lsp_server.models.found.lm_studio.files_below", files_below)
    outcome = run(capsys, "models")
    assert outcome.status == 0
    assert all(line.startswith("midtoken: LM Studio's models at ") for line in outcome.err.splitlines())


def test_as_a_process_with_a_home_of_its_own(tmp_path: Path):
    put_ollama(tmp_path / "elsewhere", "odd:1", b"no model")
    environment = {"HOME": str(tmp_path), "OLLAMA_MODELS": str(tmp_path / "elsewhere"), "XDG_DATA_HOME": ""}
    outcome: Outcome = run_process(["models", "--json"], env=environment)
    assert outcome.status == 0, outcome.err
    names = {model["name"]: model["state"] for model in json.loads(outcome.out)["models"]}
    assert names["bundled"] == "ready"
    assert names["odd:1"] == "unusable"


@pytest.mark.parametrize("arguments", [("models", "list", "x"), ("models", "lst"), ("models", "--all")])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]):
    outcome = run(capsys, *arguments)
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1


def test_numbers():
    assert [size(n) for n in (0, 7, 1_500, 98_362_432, 4_680_000_000)] == ["", "7 B", "1.5 kB", "98 MB", "4.7 GB"]
    assert [count(n) for n in (0, 494_032_768, 1_540_000_000)] == ["", "494 M", "1.5 B"]
    assert shortened("apache-2.0", 30) == "apache-2.0"
    assert shortened("Apache-2.0 (weights); more", 12) == "Apache-2.0…"
    assert columns(("a", "bcd"), [("xyz\x1b", "1")]) == ["a     bcd", "xyz?  1"]
