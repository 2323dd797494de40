"""What the user of VS Code sees when something is wrong: with the server, its model, or the disk."""

import json
import os
import shlex
import signal
from pathlib import Path

from tests.editors import read_only
from tests.editors.vscode import SETTINGS
from tests.editors.vscode_server import Workbench, opened

# It answers once, then dies, as with a fault in a native library.
DIES_IN_USE = """import json, sys
open(sys.argv[0] + '.starts', 'a').write('start ')
length = int(sys.stdin.buffer.readline().split()[1])
sys.stdin.buffer.readline()
request = json.loads(sys.stdin.buffer.read(length))
answer = json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': {'capabilities': {}}})
sys.stdout.write(f'Content-Length: {len(answer)}\\r\\n\\r\\n{answer}')
sys.stdout.flush()
sys.stdin.buffer.readline()
sys.exit('the native library has a fault')
"""


def program(folder: Path, body: str, version: str = "0.1.0") -> list[str]:
    """A program that claims to be midtoken; its body is ``body``."""
    path = folder / "server.py"
    path.write_text(body, encoding="utf-8")
    script = folder / "midtoken"
    start = f"exec {shlex.quote(str(SETTINGS['midtoken.server.python']))} {shlex.quote(str(path))}"
    script.write_text(
        f'#!/bin/sh\ncase $1 in --version) echo "midtoken {version}";; *) {start};; esac\n', encoding="utf-8"
    )
    script.chmod(0o755)
    return [str(script)]


def test_the_setting_names_nothing(workbench: Workbench, tmp_path: Path):
    python = str(tmp_path / "no-such-python")
    with opened(workbench, {"midtoken.server.python": python}) as it:
        message = f"The setting 'midtoken.server.python' names no server: {python} does not exist"
        assert it.wait_told(message) == f"Midtoken: {message}."
        assert it.status()["state"] == "error"
        assert it.bar() == "Midtoken"
        assert {"Open Settings", "Try Again", "Show Log"} <= set(it.texts(".notification-list-item a.monaco-button"))
        it.open("import ", "b.py")
        assert len(it.told()) == 1


def test_another_program(workbench: Workbench):
    with opened(workbench, {"midtoken.server.command": ["/bin/echo", "I am something else"]}) as it:
        it.wait_told("it is not the program midtoken")


def test_another_version(workbench: Workbench, tmp_path: Path):
    with opened(workbench, {"midtoken.server.command": program(tmp_path, "", "9.8.7")}) as it:
        it.wait_told("has Midtoken 9.8.7, and this extension works with")


def test_it_ends_at_its_start(workbench: Workbench, tmp_path: Path):
    command = program(tmp_path, "raise SystemExit('there is no numpy here')")
    with opened(workbench, {"midtoken.server.command": command}) as it:
        assert it.wait_told("ended at its start") == "Midtoken: The server ended at its start: there is no numpy here."


def test_a_crash_is_made_up_for(workbench: Workbench):
    with opened(workbench, SETTINGS) as it:
        it.wait_ready()
        before = it.server_pid()
        assert before
        os.kill(before, signal.SIGKILL)
        it.until(lambda: it.server_pid() not in (None, before), "the second start")
        it.wait_ready()
        it.type("o")
        it.wait_ghost()
        assert it.told() == []


def test_five_restarts_and_then_a_message(workbench: Workbench, tmp_path: Path):
    command = program(tmp_path, DIES_IN_USE)
    with opened(workbench, {"midtoken.server.command": command}) as it:
        message = it.wait_told("crashed 6 times")
        assert message == "Midtoken: The server crashed 6 times and stays off: the native library has a fault."
        assert (tmp_path / "server.py.starts").read_text(encoding="utf-8").split() == ["start"] * 6
        it.settings({**SETTINGS, "midtoken.server.command": None})
        it.wait_ready()


def test_a_model_folder_that_does_not_exist(workbench: Workbench, tmp_path: Path):
    model = str(tmp_path / "none")
    with opened(workbench, {**SETTINGS, "midtoken.model": model}) as it:
        it.wait_told(f"there are no completions: no model folder at {model}")
        it.until(lambda: it.status()["state"] == "error", "the state")
        it.settings(SETTINGS)
        it.wait_ready()
        it.type("o")
        it.wait_ghost()


def test_a_read_only_workspace(workbench: Workbench, tmp_path: Path):
    (tmp_path / "a.py").write_text("import ", encoding="utf-8")
    with workbench(SETTINGS, read_only.command(tmp_path)) as server, server.window(tmp_path) as it:
        it.show(tmp_path / "a.py")
        it.wait_ready()
        it.type("o")
        it.wait_ghost()
        it.begin("workbench.action.files.save")
        it.wait_told("Failed to save 'a.py'")


def test_a_workspace_that_is_not_trusted(workbench: Workbench):
    trust = {"security.workspace.trust.enabled": True, "security.workspace.trust.startupPrompt": "never"}
    with workbench({**SETTINGS, **trust}) as server:
        folder = server.folder / "workspace/.vscode"
        folder.mkdir(parents=True)
        bad = {"midtoken.server.python": "/bin/false", "midtoken.model": "/no/such/model"}
        (folder / "settings.json").write_text(json.dumps(bad), encoding="utf-8")
        with server.window() as it:
            it.open("import ")
            it.wait_ready()
            assert it.run("return vscode.workspace.isTrusted") is False
            it.type("o")
            it.wait_ghost()
            assert it.told() == []
