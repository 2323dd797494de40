"""The README's moving picture: somebody types in Neovim and takes what is shown. ``make screenshots`` writes it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.neovim import ENABLE, command_line, configuration
from tests.editors.programs import Program
from tests.editors.terminal import Terminal, terminal
from tools.terminal_picture import Frame, picture

COLUMNS, ROWS = 64, 19
TEXT = """import json
import os


def read_settings(path):
    if not os.path.exists(path):
        return {}
    with open(path) as stream:
        return json.load(stream)
"""
WITH_TAB = ("    with open(path, 'w') as str", "if __na")
PASSAGES = (
    "def write_settings(path, settings):",
    WITH_TAB[0],
    "        json.dump(settings, stream)",
    "",
    "",
    WITH_TAB[1],
)
"""The lines. The rest of those in ``WITH_TAB`` is shown, and taken with Tab."""
LOOK = """
vim.o.laststatus = 2
vim.o.statusline = "%{%v:lua.require'midtoken'.status()%}"
vim.o.ruler = false
vim.o.showmode = false
vim.o.background = 'light'
vim.o.termguicolors = true
vim.o.shortmess = vim.o.shortmess .. 'FI'
vim.cmd('syntax on')
vim.api.nvim_set_hl(0, 'Normal', {})
vim.keymap.set('i', '<Tab>', '<Plug>(midtoken-accept)')
vim.o.autoindent = false
vim.o.indentexpr = ''
vim.cmd('filetype indent off')
"""
SHOWN = {"device": "cpu", "multiLine": False}
KEY_S, SEEN_S, TAKEN_S, END_S = 0.12, 1.4, 0.9, 2.5


@pytest.fixture
def it(neovim: Program, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "settings.py").write_text(TEXT, encoding="utf-8")
    arguments, environment = command_line(neovim, tmp_path, configuration(ENABLE + LOOK, settings=SHOWN))
    with terminal([*arguments, str(tmp_path / "settings.py")], {**environment, "COLORTERM": "truecolor"}) as started:
        started.tmux("resize-window", "-x", str(COLUMNS), "-y", str(ROWS))
        yield started


def frame(it: Terminal, seconds: float) -> Frame:
    column, row = map(int, it.tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split())
    return Frame(it.tmux("capture-pane", "-e", "-p"), (column, row), seconds)


def line_of(it: Terminal) -> str:
    """The line of the cursor as it is on the screen, ghost text and all."""
    row = int(it.tmux("display-message", "-p", "#{cursor_y}"))
    return it.screen().split("\n")[row].rstrip()


def take(it: Terminal, typed: str) -> list[Frame]:
    """Wait until more than ``typed`` is on the line, then press Tab; the frames of both."""
    it.until(lambda _: len(line_of(it)) > len(typed), f"ghost text after {typed!r}")
    shown = line_of(it)
    assert shown.startswith(typed)
    seen = frame(it, SEEN_S)
    it.tmux("send-keys", "Tab")
    it.until(lambda _: frame(it, TAKEN_S).cursor[0] == len(shown), "the acceptance")
    return [seen, frame(it, TAKEN_S)]


def test_a_picture_of_typing(it: Terminal, tmp_path: Path):
    it.until(lambda screen: "json.load" in screen and "\nMidtoken" in screen, "the file and the server")
    it.tmux("send-keys", "G", "o", "Enter", "Enter")
    frames = [frame(it, 1.0)]
    for passage in PASSAGES:
        for letter in passage:
            it.tmux("send-keys", "-l", letter)
            time.sleep(KEY_S)
            frames.append(frame(it, KEY_S))
        if passage in WITH_TAB:
            frames += take(it, passage)
        if passage != PASSAGES[-1]:
            it.tmux("send-keys", "Enter")
            time.sleep(KEY_S)
    frames.append(frame(it, END_S))
    folder = Path(os.environ.get("EDITOR_TEST_PICTURES", tmp_path)).absolute()
    drawn = picture(frames, COLUMNS, ROWS, "Typing in Neovim: the rest of a half-typed word appears, and Tab takes it")
    (folder / "neovim.svg").write_text(drawn, encoding="utf-8")
    assert len(drawn) < 200_000
