"""Ghost text on a real terminal screen: what the user sees, not what Neovim's interface says."""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.editors.install_nvim import Neovim
from tests.editors.neovim import ENABLE, TIMEOUT_S, command_line, configuration

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux on this machine")
KEYS = """
vim.o.statusline = "%{%v:lua.require'midtoken'.status()%}"
vim.o.laststatus = 2
vim.keymap.set('i', '<Tab>', '<Plug>(midtoken-accept)')
"""


class Terminal:
    """A terminal of 80 columns and 24 rows with a tmux server of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def tmux(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S
        ).stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def until(self, look: Callable[[str], bool], what: str) -> str:
        end = time.monotonic() + TIMEOUT_S
        while not look(screen := self.screen()):
            assert time.monotonic() < end, f"{what} did not show on the screen:\n{screen}"
            time.sleep(0.1)
        return screen


@pytest.fixture
def terminal(neovim: Neovim, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "a.py").write_text("import os\n", encoding="utf-8")
    arguments, environment = command_line(neovim, tmp_path, configuration(ENABLE + KEYS))
    assigned = [f"{name}={value}" for name, value in environment.items() if name not in ("TERM", "TMUX")]
    with tempfile.TemporaryDirectory(prefix="midtoken-") as short:
        terminal = Terminal(Path(short) / "tmux")
        command = shlex.join(["env", *assigned, *arguments, str(tmp_path / "a.py")])
        terminal.tmux("new-session", "-d", "-x", "80", "-y", "24", command)
        try:
            yield terminal
        finally:
            terminal.tmux("kill-server")


def test_ghost_text_on_the_screen(terminal: Terminal):
    terminal.until(lambda screen: screen.startswith("import os\n") and "\nMidtoken" in screen, "the file")
    terminal.tmux("send-keys", "o", "if not os.pa")
    screen = terminal.until(
        lambda screen: screen.splitlines()[1].startswith("if not os.pa") and len(screen.splitlines()[1]) > 12,
        "ghost text",
    )
    line = screen.splitlines()[1]
    terminal.tmux("send-keys", "Tab")
    terminal.tmux("send-keys", "Escape")
    terminal.tmux("send-keys", ":w", "Enter")
    terminal.until(lambda screen: "written" in screen, "the message of :w")
    assert terminal.screen().splitlines()[1] == line
