"""What the user of Neovim sees when something is wrong with the server."""

import json
import os
import signal
import sys
from pathlib import Path

import pynvim
import pytest

from tests.editors import read_only
from tests.editors.neovim import ENABLE, SETTINGS, Editor, configuration, editor
from tests.editors.programs import Program

MISSING = "Midtoken: 'no-such-server' is not on the PATH; see :checkhealth midtoken"
STAYS_OFF = " and stays off; see :Midtoken log"
QUICK = f"{ENABLE}\nrequire('midtoken.server').first_delay_ms = 20"


def health(it: Editor) -> str:
    it.nvim.command("checkhealth midtoken")
    return it.text()


def script(folder: Path, body: str) -> list[str]:
    """A server that consists of this script only."""
    path = folder / "server.py"
    path.write_text(body, encoding="utf-8")
    return [sys.executable, str(path), "serve"]


def test_health_of_what_works(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration()) as it:
        it.open("import o")
        it.insert_at_end()
        it.wait_ghost()
        it.type("<Esc>")
        report = health(it)
        assert "OK Neovim 0." in report
        assert "OK midtoken " in report
        assert "OK Running for 1 buffer(s), positions in utf-8" in report
        assert "The last answer took" in report
        assert "ERROR" not in report
        assert "WARNING" not in report


def test_nothing_enabled(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration("")) as it:
        report = health(it)
        assert "vim.lsp.enable('midtoken')" in report
        assert "vim.lsp.inline_completion.enable()" in report
        assert "No server is running" in report


def test_a_missing_server_is_told_once_and_when_it_is_wanted(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration(server=["no-such-server", "serve"])) as it:
        it.open("some words", "a.txt", attached=False)
        it.insert_at_end()
        it.type("<Esc>")
        it.open("import o", attached=False)
        assert it.told() == []
        for _ in range(2):
            it.insert_at_end()
            it.type("<Esc>")
            it.until(lambda: it.mode() == "n", "normal mode")
        it.until(lambda: it.told() == [MISSING], "the message")
        report = health(it)
        assert "ERROR The server 'no-such-server' is not installed or not on the PATH" in report
        assert "midtoken-installation" in report
        it.nvim.command("Midtoken restart")
        assert it.told() == [MISSING, MISSING]


def test_another_program_of_that_name(neovim: Program, tmp_path: Path):
    server = script(tmp_path, "raise SystemExit('I am something else')\n")
    with editor(neovim, tmp_path, configuration(server=server)) as it:
        report = health(it)
        assert "--version` does not work: I am something else" in report


def test_a_server_that_ends_at_start_is_not_started_again(neovim: Program, tmp_path: Path):
    server = script(tmp_path, "raise SystemExit(3)\n")
    with editor(neovim, tmp_path, configuration(QUICK, server)) as it:
        it.open("import o", attached=False)
        ours = f"Midtoken: the server ended at start{STAYS_OFF}"
        it.until(lambda: ours in it.told(), "the message")
        assert [text for text in it.told() if text.startswith("Midtoken")] == [ours]
        assert it.lua("return require('midtoken').status()") == "Midtoken: stopped"
        assert "The server crashed and was given up" in health(it)
        it.nvim.command("Midtoken log")
        assert it.nvim.current.buffer.name.endswith("lsp.log")


def test_a_crash_is_made_up_for(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration(QUICK)) as it:
        it.open("import o")
        [before] = it.server_pids()
        os.kill(before, signal.SIGKILL)
        it.until(lambda: it.server_pids() not in ([], [before]) and it.attached(), "the server's second start")
        it.insert_at_end()
        assert it.wait_ghost()
        assert [text for text in it.told() if text.startswith("Midtoken")] == []  # Neovim itself reports the crash


def test_five_restarts_and_then_a_message(neovim: Program, tmp_path: Path):
    # It answers once, then dies, as with a fault in a native library.
    body = f"""import sys, json
log = open({str(tmp_path / "starts")!r}, "a"); log.write("start\\n"); log.close()
length = int(sys.stdin.buffer.readline().split()[1])
sys.stdin.buffer.readline()
request = json.loads(sys.stdin.buffer.read(length))
answer = json.dumps({{"jsonrpc": "2.0", "id": request["id"], "result": {{"capabilities": {{}}}}}})
sys.stdout.write(f"Content-Length: {{len(answer)}}\\r\\n\\r\\n{{answer}}")
sys.stdout.flush()
sys.stdin.buffer.readline()
sys.exit(4)
"""
    with editor(neovim, tmp_path, configuration(QUICK, script(tmp_path, body))) as it:
        it.open("import o", attached=False)
        ours = f"Midtoken: the server crashed 6 times{STAYS_OFF}"
        it.until(lambda: ours in it.told(), "the message")
        assert (tmp_path / "starts").read_text(encoding="utf-8").count("start") == 6
        it.nvim.command("Midtoken restart")
        it.until(lambda: it.told().count(ours) == 2, "the message of the second series")


def test_a_server_that_is_stopped_stays_so_and_can_be_restarted(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration(QUICK)) as it:
        it.open("import o")
        [before] = it.server_pids()
        it.nvim.command("Midtoken restart")
        it.until(lambda: it.server_pids() not in ([], [before]) and it.attached(), "the new server")
        it.lua("for _, client in ipairs(vim.lsp.get_clients({ name = 'midtoken' })) do client:stop() end")
        it.until(lambda: not it.server_pids(), "the server's end")
        it.nvim.command("Midtoken restart")
        it.until(it.attached, "the server's start")
        assert it.told() == []


def test_a_model_folder_that_does_not_exist(neovim: Program, tmp_path: Path):
    model = str(tmp_path / "no model")
    with editor(neovim, tmp_path, configuration(settings={**SETTINGS, "model": model})) as it:
        it.open("import o")
        log = "return vim.fn.execute('messages')"
        it.until(lambda: "there are no completions" in it.lua(log) + json.dumps(it.told()), "the server's message")
        assert "The model folder does not exist" in health(it)


def test_a_setting_that_does_not_exist(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration(settings={**SETTINGS, "nonsense": 1})) as it:
        it.open("import o")
        log = "return vim.fn.execute('messages')"
        it.until(lambda: "unknown setting 'nonsense'" in it.lua(log) + " ".join(it.told()), "the server's message")
        it.insert_at_end()
        assert it.wait_ghost()


def test_two_editors_in_one_folder(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration()) as one, editor(neovim, tmp_path, configuration()) as two:
        for it in (one, two):
            it.open("import o")
            it.insert_at_end()
        assert one.wait_ghost() == two.wait_ghost()


def test_a_read_only_workspace(neovim: Program, tmp_path: Path):
    path = tmp_path / "workspace/a.py"
    path.parent.mkdir()
    path.write_text("import o", encoding="utf-8")
    with editor(neovim, tmp_path, configuration(), read_only.command(path.parent)) as it:
        it.nvim.command(f"edit {path}")
        it.until(it.attached, "the server's start")
        it.insert_at_end()
        assert it.wait_ghost()
        it.type("<Esc>")
        with pytest.raises(pynvim.NvimError, match="E212: Can't open file for writing"):
            it.nvim.command("write!")
        assert "ERROR" not in health(it)


def test_no_such_command(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration()) as it:
        it.nvim.command("Midtoken fly")
        assert it.told() == [
            "Midtoken: no such command; there are cancel, health, log, model, model-info, restart, statistics, toggle, "
            "toggle-buffer"
        ]
