"""What the user of VS Code sees if no server is installed: no Python, an old one, the installation by the button."""

import shlex
import venv
from pathlib import Path

import pytest

from tests.editors.installing import cache_folder
from tests.editors.vscode import Code
from tests.editors.vscode_server import Workbench, opened

INSTALLATION_S = 900.0


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program on the path, except for a shell: a Python without Midtoken."""
    venv.create(tmp_path / "environment", symlinks=True)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env"):
        (folder / name).symlink_to(f"/bin/{name}")
    path = folder / "python3"
    answer(path, f'exec {shlex.quote(str(tmp_path / "environment/bin/python3"))} "$@"')
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return path


def answer(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)


def install(it: Code) -> None:
    """Press the button of the message that offers the installation."""
    told = it.wait_told("Midtoken's server is not installed.")
    assert told == "Midtoken's server is not installed. It can be installed now, into an environment of its own."
    it.page.click('.notification-list-item a.monaco-button:text("Install")')
    it.wait_told("Midtoken: installing the server")


def test_there_is_no_python(workbench: Workbench, python: Path):
    python.unlink()
    with opened(workbench, {}) as it:
        told = it.wait_told("Midtoken needs Python 3.11 or later")
        assert told == "Midtoken needs Python 3.11 or later; none was found. Install one, or name it in the settings."
        assert it.status()["state"] == "error"
        assert {"Get Python", "Try Again"} <= set(it.texts(".notification-list-item a.monaco-button"))


def test_python_is_too_old(workbench: Workbench, python: Path):
    answer(python, """echo '{"python": "3.8.1", "server": null}'""")
    with opened(workbench, {}) as it:
        it.wait_told("Midtoken needs Python 3.11 or later; the newest found is 3.8.1.")


@pytest.mark.usefixtures("python")
def test_the_button_installs_the_server(workbench: Workbench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_CACHE_DIR", str(cache_folder() / "pip"))
    own = Path.home() / ".config/pip/pip.conf"  # valid in the test's home too: another index, for one
    if own.exists():
        monkeypatch.setenv("PIP_CONFIG_FILE", str(own))
    with opened(workbench, {}) as it:
        install(it)
        it.until(lambda: it.status()["state"] in ("ready", "error"), "the installation", INSTALLATION_S)
        it.wait_told("Midtoken's server is installed.")
        it.wait_ready()
        it.type("o")
        it.wait_ghost()


@pytest.mark.usefixtures("python")
def test_the_installation_fails_without_a_connection(workbench: Workbench, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",  # without a found version, pip gives no reason
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with opened(workbench, {}) as it:
        install(it)
        it.until(lambda: any("cannot be reached" in told for told in it.told()), "the message", INSTALLATION_S)
        assert it.status()["state"] == "error"
        assert "Try Again" in it.texts(".notification-list-item a.monaco-button")
