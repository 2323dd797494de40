"""``midtoken models`` as a user runs it."""

import json
import os
import re
import signal
import sys
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
    assert outcome.err == "midtoken: to use a model that is to be added: midtoken models add NAME\n"
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
    *notes, _ = outcome.err.splitlines()
    assert all(line.startswith("midtoken: LM Studio's models at ") for line in notes)


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


def test_adding_showing_and_removing(registry, capsys: pytest.CaptureFixture[str]):
    outcome = run(capsys, "models", "add", "smol:135m")
    assert (outcome.status, outcome.out) == (0, "")
    announced, added = outcome.err.splitlines()
    assert announced == "midtoken: smol:135m: 135 M parameters, Q4_1, 45 B; licence: apache-2.0"
    assert added.startswith("midtoken: added smol:135m (")
    assert added.endswith("use it with --model smol:135m")
    outcome = run(capsys, "models", "add", "smol:135m")
    assert outcome.status == 0
    assert outcome.err.splitlines()[-1] == "midtoken: smol:135m is there already, and its source has not changed"
    shown = run(capsys, "models", "show", "smol:135m").out
    assert re.search(r"^where +added$", shown, re.MULTILINE)
    assert re.search(r"^state +ready$", shown, re.MULTILINE)
    assert "reason" not in shown
    assert re.search(r"^licence +apache-2.0$", shown, re.MULTILINE)
    assert run(capsys, "models", "remove", "smol:135m").err == "midtoken: removed smol:135m\n"
    shown = run(capsys, "models", "show", "smol:135m").out
    assert "where         Ollama" in shown
    assert "state         to be added" in shown
    assert "reason        " in run(capsys, "models", "show", "broken:1").out
    assert "keeps it; remove it there" in run(capsys, "models", "remove", "smol:135m").error
    assert "it comes with Midtoken" in run(capsys, "models", "remove", "bundled").error


def test_json_of_the_actions(registry, capsys: pytest.CaptureFixture[str]):
    added = json.loads(run(capsys, "models", "add", "smol:135m", "--json", "--name", "mine").out)
    assert (added["name"], added["state"], added["added"]) == ("mine", "ready", True)
    assert json.loads(run(capsys, "models", "--json", "add", "smol:135m").out)["added"] is False
    assert json.loads(run(capsys, "models", "show", "mine", "--json").out)["name"] == "mine"
    assert json.loads(run(capsys, "models", "remove", "mine", "--json").out) == {"removed": "mine"}


def test_progress_on_a_terminal(registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    err = run(capsys, "models", "add", "smol:135m").err
    assert "\rweights:  50%" in err
    assert err.splitlines()[-1].endswith("use it with --model smol:135m")


def test_an_interruption_leaves_nothing(registry, capsys: pytest.CaptureFixture[str]):
    def end(out: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    registry.converter.during = end
    assert run(capsys, "models", "add", "smol:135m").status == 130
    assert [path.name for path in registry.machine.store.iterdir()] == [".lock"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("add", "unknown"), 2),
        (("add", "broken:1"), 1),
        (("add", "./nothing.gguf"), 2),
        (("add", "smol:135m", "--name", "bundled"), 2),
        (("add", "smol:135m", "--precision", "int2"), 2),
        (("remove", "unknown"), 2),
        (("show", "unknown"), 2),
        (("add",), 2),
    ],
)
def test_what_cannot_be_done_is_one_line(registry, capsys, arguments: tuple[str, ...], status: int):
    outcome = run(capsys, "models", *arguments)
    assert outcome.status == status
    assert outcome.error


def test_numbers():
    assert [size(n) for n in (0, 7, 1_500, 98_362_432, 4_680_000_000)] == ["", "7 B", "1.5 kB", "98 MB", "4.7 GB"]
    assert [count(n) for n in (0, 494_032_768, 1_540_000_000)] == ["", "494 M", "1.5 B"]
    assert shortened("apache-2.0", 30) == "apache-2.0"
    assert shortened("Apache-2.0 (weights); more", 12) == "Apache-2.0…"
    assert columns(("a", "bcd"), [("xyz\x1b", "1")]) == ["a     bcd", "xyz?  1"]
