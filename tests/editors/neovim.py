"""A Neovim that a test drives: its configuration, what it shows, and waiting for it."""

import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pynvim

from tests.editors.programs import Program

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "nvim-client"
SERVER = [sys.executable, "-m", "lsp_server", "serve"]
# A busy machine may be slow; an answer cut short by the budget would be a different answer.
# These tests do not check which guesses the model is sure of.
SETTINGS = {"budgetMs": 30_000, "device": "cpu", "minConfidence": 0}
TIMEOUT_S = 60.0
ENABLE = "vim.lsp.enable('midtoken')\nvim.lsp.inline_completion.enable()"

Result = TypeVar("Result")


def configuration(
    body: str = ENABLE,
    server: list[str] = SERVER,
    settings: Mapping[str, object] = SETTINGS,
    *,
    own_server: bool = True,
) -> str:
    """An init.lua: the plugin on the runtime path, the server of this checkout, then ``body``."""
    config = {"cmd": server, "cmd_env": {"PYTHONPATH": str(ROOT)}, "settings": {"midtoken": dict(settings)}}
    lines = [f"vim.opt.runtimepath:prepend({json.dumps(str(PLUGIN))})"]
    if own_server:
        lines.append(f"vim.lsp.config('midtoken', vim.json.decode({json.dumps(json.dumps(config))}))")
    # The user's messages are kept for the test, whatever the screen does with them.
    lines.append("_G.told = {}\nvim.notify = function(text, level) table.insert(_G.told, { text, level or 2 }) end")
    return "\n".join([*lines, body, ""])


def command_line(neovim: Program, folder: Path, init: str) -> tuple[list[str], dict[str, str]]:
    """The program with ``init`` as its only configuration and ``folder`` as its home, and its environment."""
    (folder / "init.lua").write_text(init, encoding="utf-8")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MIDTOKEN_", "NVIM", "XDG_"))}
    homes = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    environment = {**ours, **neovim.environment, **homes, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    return [str(neovim.path), "-u", str(folder / "init.lua"), "-i", "NONE", "-n"], environment


class Editor:
    """What a test can do with Neovim, and what it can see."""

    def __init__(self, nvim: pynvim.Nvim, folder: Path) -> None:
        self.nvim = nvim
        self.folder = folder

    def lua(self, code: str, *arguments: object) -> Any:
        return self.nvim.exec_lua(code, *arguments)

    def until(self, look: Callable[[], Result], what: str, timeout_s: float = TIMEOUT_S) -> Result:
        """Return the first true value of ``look``."""
        end = time.monotonic() + timeout_s
        while not (seen := look()):
            assert time.monotonic() < end, f"{what} did not happen; {self.state()}"
            time.sleep(0.03)
        return seen

    def state(self) -> dict[str, object]:
        """The state, for the message of a failure."""
        log = self.lua("return vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()")
        tail = Path(log).read_text(encoding="utf-8", errors="replace")[-2000:] if Path(log).exists() else ""
        return {"told": self.told(), "mode": self.mode(), "text": self.text(), "ghost": self.ghost(), "log": tail}

    def open(self, text: str, name: str = "a.py", *, attached: bool = True) -> None:
        path = self.folder / name
        path.write_bytes(text.encode())
        self.nvim.command(f"edit {path}")
        if attached:
            self.until(self.attached, "the server's start")

    def attached(self) -> bool:
        clients = "#vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' }) > 0"  # those that are initialised
        return bool(self.lua(f"return {clients}"))

    def type(self, keys: str) -> None:
        self.nvim.input(keys.replace("<", "<lt>") if keys == "<" else keys)

    def insert_at_end(self) -> None:
        """Enter insert mode after the last character of the document. No key is typed, so the ghost text is for this
        place.
        """
        self.nvim.command("normal! G$")
        self.type("A")
        self.until(lambda: self.mode() == "i", "insert mode")

    def mode(self) -> str:
        return str(self.nvim.api.get_mode()["mode"])

    def text(self) -> str:
        return "\n".join(self.nvim.current.buffer[:])

    def ghost(self) -> str:
        """The text in the extmarks of Neovim's inline completion, including the lines below."""
        space = self.nvim.api.create_namespace("nvim.lsp.inline_completion")
        shown = ""
        for *_, details in self.nvim.api.buf_get_extmarks(0, space, 0, -1, {"details": True}):
            shown += "".join(text for text, _ in details.get("virt_text", []))
            shown += "".join("\n" + "".join(text for text, _ in line) for line in details.get("virt_lines", []))
        return shown

    def wait_ghost(self) -> str:
        return self.until(self.ghost, "ghost text")

    def take_from_list(self) -> str:
        """Insert the first word of the completion list that every version has,

        i_CTRL-X_CTRL-O

        .
        """
        self.nvim.options["completeopt"] = "menu,noselect"
        self.insert_at_end()
        self.type("<C-x><C-o>")
        words = self.until(
            lambda: [item["word"] for item in self.nvim.funcs.complete_info(["items"])["items"]], "the completion list"
        )
        self.type("<C-n><C-y>")
        return str(words[0])

    def items(self) -> int:
        """Number of items that Neovim holds for this buffer."""
        return int(
            self.lua(
                "local shown = require('vim.lsp._capability').all.inline_completion.active[vim.fn.bufnr()]"
                " return shown and shown:count_items() or 0"
            )
        )

    def told(self) -> list[str]:
        return [text for text, _ in self.lua("return _G.told or {}")]

    def server_pids(self) -> list[int]:
        pid = self.nvim.funcs.getpid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
        return [int(child) for child in children]


@contextmanager
def editor(neovim: Program, folder: Path, init: str, prefix: Sequence[str] = ()) -> Iterator[Editor]:
    """A Neovim without a screen, driven over a socket of its own, so that we can end the process. ``prefix`` goes
    before its command.
    """
    arguments, environment = command_line(neovim, folder, init)
    with tempfile.TemporaryDirectory(prefix="midtoken-") as short:  # the path of a socket has at most 107 bytes
        address = Path(short) / "nvim"
        command = [*prefix, *arguments, "--headless", "--listen", str(address)]
        output = subprocess.DEVNULL  # it prints the messages for the user
        with subprocess.Popen(command, env=environment, stdin=output, stdout=output, stderr=output) as process:
            try:
                driven = Editor(_attach(process, address), folder)
                yield driven
                driven.nvim.command("qa!", async_=True)
                process.wait(TIMEOUT_S)
                _close(driven)
            finally:
                process.kill()


def _attach(process: "subprocess.Popen[bytes]", address: Path) -> pynvim.Nvim:
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as trial:
                trial.connect(str(address))
            break
        except (FileNotFoundError, ConnectionRefusedError):  # refused between its creation and first use
            assert process.poll() is None, f"Neovim ended at start with status {process.returncode}"
            assert time.monotonic() < end, "Neovim did not start"
            time.sleep(0.02)
    return pynvim.attach("socket", path=str(address))


def _close(driven: Editor) -> None:
    """pynvim closes its loop before the transport in it, and then Python warns that the transport was never closed."""
    driven.nvim.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del driven.nvim
        gc.collect()
