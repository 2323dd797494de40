"""VS Code: commands, settings, dialogs and the status bar, as a user meets them."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.editors.neovim import ROOT
from tests.editors.vscode import BAR, EXTENSION, SETTINGS, Code
from tests.editors.vscode_server import Workbench
from tests.editors.vscode_window import it, start, window
from tests.lsp_server.models.fake_machine import put_ollama
from tests.onnx_export.gguf.files import write_model

__all__ = ["it", "window"]
SLOW = "tests.editors.slow_adding"


def test_every_command_is_there(it: Code):
    declared = {command["command"] for command in it.manifest()["contributes"]["commands"]}
    assert declared <= set(it.run("return vscode.commands.getCommands(true)"))


def test_disable_and_enable(it: Code):
    start(it, "import nump")
    it.command("midtoken.disable")
    it.until(lambda: it.status()["state"] == "off", "the end of the server")
    it.type("x")
    it.until(lambda: it.ghost() == "", "the end of the ghost text")
    assert it.setting("midtoken.enabled") is False
    it.command("midtoken.enable")
    it.wait_ready()
    assert start(it, "import o", "b.py")


def test_disable_and_enable_a_language(it: Code):
    it.settings({**SETTINGS, "midtoken.languages": ["python", "lua"]})
    it.open("import ")
    before = it.command("midtoken.server.statistics")["requests"]
    it.command("midtoken.disableLanguage")
    it.until(lambda: it.setting("midtoken.enabled", "python") is False, "the setting")
    it.type("o")
    it.command("midtoken.trigger")
    it.open("import ", "a.lua")
    it.type("o")
    it.wait_ghost()  # of the other language; by now the first one would have had its own
    assert it.command("midtoken.server.statistics")["requests"] == before + 1
    it.open("import ", "b.py")
    it.command("midtoken.enableLanguage")
    it.type("o")
    it.wait_ghost()
    it.settings(SETTINGS)


OPEN = "def load(path):\n    with op"
"""What follows takes more than one token."""


def test_a_setting_takes_effect(it: Code):
    it.settings({**SETTINGS, "midtoken.maxNewTokens": 1})
    short = start(it, OPEN)
    it.settings(SETTINGS)
    start(it, OPEN, "b.py")  # on a busy machine its first words come before the rest
    it.until(lambda: len(it.ghost()) > len(short), "more text")
    assert it.ghost().startswith(short)


def test_restart(it: Code):
    it.run(f"globalThis.states = []; {EXTENSION}.exports.onDidChangeStatus((status) => states.push(status))")
    with it.restarting():
        it.command("midtoken.restart")
    states = it.run("return globalThis.states")
    assert states[0]["state"] == "loading"
    assert all(status["model"] for status in states if status["state"] == "ready")
    assert start(it, "import o")


def choose_folder(it: Code, folder: Path) -> None:
    """In the dialog that VS Code has in a browser. VS Code may put a folder of its own in the box after ours."""
    it.begin("midtoken.chooseModelFolder")
    dialog = it.page.locator('.quick-input-widget:visible:has-text("Choose a model folder")')
    box = dialog.locator("input:visible")
    box.wait_for()

    def over() -> bool:
        box.fill(f"{folder}/")
        it.page.wait_for_timeout(500)  # for something that must not happen
        if box.input_value() == f"{folder}/":
            dialog.locator('a.monaco-button:has-text("Use This Model")').click()
            dialog.wait_for(state="hidden")
            return True
        return False

    it.until(over, "the choice")


def test_a_model_folder_is_chosen(it: Code, tmp_path: Path):
    choose_folder(it, tmp_path)
    it.wait_told(f"{tmp_path} is no model folder: there is no model.onnx in it")
    bundled = it.command("midtoken.server.modelInfo")["path"]
    folder = shutil.copytree(bundled, tmp_path / "model")
    server = it.server_pid()
    choose_folder(it, folder)
    it.until(lambda: it.command("midtoken.server.modelInfo")["path"] == str(folder), "the model of the folder")
    assert it.setting("midtoken.model") == str(folder)
    assert start(it, "import o")
    choose(it, "bundled")
    it.until(lambda: it.command("midtoken.server.modelInfo")["path"] == bundled, "the bundled model")
    assert it.setting("midtoken.model") == ""
    assert it.server_pid() == server


def choose(it: Code, name: str) -> None:
    """In the list of models."""
    it.begin("midtoken.chooseModel")
    it.page.click(f'.quick-input-widget .monaco-list-row :text-is("{name}")')


def wait_bar(it: Code, name: str) -> None:
    it.until(lambda: f"Midtoken: {name}" in it.bar(), f"the model {name} in the status bar")


def test_a_model_is_added_and_used_without_a_restart(workbench: Workbench, tmp_path: Path):
    write_model(tmp_path / "m.gguf")
    with workbench(SETTINGS) as server, server.window() as it:
        put_ollama(server.folder / ".ollama/models", "toy:1", (tmp_path / "m.gguf").read_bytes())
        it.open("import o")
        it.wait_ready()
        wait_bar(it, "bundled")
        process = it.server_pid()
        for name in ("toy:1", "bundled", "toy:1"):
            choose(it, name)
            wait_bar(it, name)
        assert it.setting("midtoken.model") == "toy:1"
        it.open("func f() {\n\tret", "a.go")  # of a language that only the other model knows
        wait_bar(it, "toy:1")
        it.type("u")
        it.until(lambda: it.command("midtoken.server.statistics")["requests"] > 0, "a request")
        assert it.server_pid() == process


def test_adding_a_model_is_cancelled(workbench: Workbench, tmp_path: Path):
    write_model(tmp_path / "m.gguf")
    run = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module({SLOW!r}, run_name='__main__')"
    slow = [sys.executable, "-c", run]
    with workbench({**SETTINGS, "midtoken.server.command": slow}) as server, server.window() as it:
        put_ollama(server.folder / ".ollama/models", "toy:1", (tmp_path / "m.gguf").read_bytes())
        it.open("import o")
        it.wait_ready()
        choose(it, "toy:1")
        it.until(lambda: any("adding toy:1" in text and "weights" in text for text in it.told()), "the progress")
        it.page.click('.notification-list-item :text("Cancel")')
        it.until(lambda: not any("adding toy:1" in text for text in it.told()), "the end")
        assert it.setting("midtoken.model") == ""
        assert it.command("midtoken.server.modelInfo")["state"] == "ready"


@pytest.mark.parametrize(
    ("command", "fact"), [("midtoken.modelInfo", "vocabulary"), ("midtoken.statistics", "requests")]
)
def test_facts(it: Code, command: str, fact: str):
    it.begin(command)
    dialog = it.page.wait_for_selector(".monaco-dialog-box")
    assert fact in dialog.inner_text().lower()
    it.press("Escape")
    it.page.wait_for_selector(".monaco-dialog-box", state="detached")


def test_the_log(it: Code):
    it.command("midtoken.showLog")
    it.page.wait_for_selector(".panel .output-view-content, .panel .monaco-editor")
    shown = ".panel .view-line"
    it.until(lambda: any("starting " in line for line in it.texts(shown)), "the log")


def test_the_status_bar(it: Code):
    assert start(it, "import o")
    it.until(lambda: it.bar().endswith(" ms"), "the time of answers")
    it.page.click(BAR)
    it.page.wait_for_selector('.quick-input-widget :text("Restart server")')
    it.press("Escape")
    it.open("words", "a.txt")
    it.until(lambda: it.bar() == "", "the end of the item")


def test_suggestions_that_are_turned_off_are_told_once(it: Code):
    text = "Midtoken can show nothing: inline suggestions are turned off in the editor"
    it.open("import o")
    it.settings({**SETTINGS, "editor.inlineSuggest.enabled": False})
    it.until(lambda: any(told.startswith(text) for told in it.told()), "the warning")
    it.command("notifications.clearAll")
    it.settings(SETTINGS)
    it.settings({**SETTINGS, "editor.inlineSuggest.enabled": False})
    it.open("import o", "b.py")
    time.sleep(1)  # for something that must not happen
    assert it.told() == []
