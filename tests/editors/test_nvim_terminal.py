"""Ghost text on a real terminal screen: what the user sees, not what Neovim's interface reports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.neovim import ENABLE, command_line, configuration
from tests.editors.programs import Program
from tests.editors.terminal import Terminal, terminal

KEYS = """
vim.o.statusline = "%{%v:lua.require'midtoken'.status()%}"
vim.o.laststatus = 2
vim.keymap.set('i', '<Tab>', '<Plug>(midtoken-accept)')
"""


@pytest.fixture
def it(neovim: Program, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "a.py").write_text("import os\n", encoding="utf-8")
    arguments, environment = command_line(neovim, tmp_path, configuration(ENABLE + KEYS))
    with terminal([*arguments, str(tmp_path / "a.py")], environment) as started:
        yield started


def test_ghost_text_on_the_screen(it: Terminal):
    it.until(lambda screen: screen.startswith("import os\n") and "\nMidtoken" in screen, "the file")
    it.tmux("send-keys", "o", "if not os.pa")
    screen = it.until(
        lambda screen: screen.splitlines()[1].startswith("if not os.pa") and len(screen.splitlines()[1]) > 12,
        "ghost text",
    )
    line = screen.splitlines()[1]
    it.tmux("send-keys", "Tab")
    it.tmux("send-keys", "Escape")
    it.tmux("send-keys", ":w", "Enter")
    it.until(lambda screen: "written" in screen, "the message of :w")
    assert it.screen().splitlines()[1] == line
