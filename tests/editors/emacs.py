"""An Emacs that a test drives: with real keys on a terminal, and by its own server for everything that is not on
screen.
"""

import base64
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.editors.programs import Program
from tests.editors.terminal import TIMEOUT_S, Terminal, terminal

ROOT = Path(__file__).parents[2]
DOCUMENTATION = ROOT / "docs/editors.md"
COMMAND = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "lsp_server", "serve"]

Result = TypeVar("Result")


def documented(command: list[str], settings: str = ":budgetMs 30000 :minConfidence 0") -> str:
    """The Lisp in the section of the documentation, with ``command`` as the program and with ``settings``.

    By default an answer may take long, because the machine may be busy, and the model may be unsure of it.
    """
    section = DOCUMENTATION.read_text(encoding="utf-8").partition("## Emacs with eglot")[2]
    code = section.partition("```elisp\n")[2].partition("```")[0]
    for its, ours in (('("midtoken" "serve")', f"({' '.join(map(json.dumps, command))})"), (":multiLine t", settings)):
        assert its in code
        code = code.replace(its, ours)
    return code


class Editor:
    """What a test can do with Emacs, and what it can see."""

    def __init__(self, screen: Terminal, address: Path, folder: Path) -> None:
        self.screen = screen
        self.folder = folder
        self.name = "a.py"
        self._address = address

    def lisp(self, code: str) -> Any:
        """The value of an expression in the buffer that the window shows, by way of JSON.

        Raises:
            RuntimeError: the expression signals an error.
        """
        inside = f"(with-current-buffer (window-buffer (selected-window)) {code})"
        encoded = f"(base64-encode-string (json-serialize {inside} :null-object nil :false-object :false) t)"
        expression = encoded.replace("&", "&&").replace(" ", "&_").replace("\n", "&n")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(self._address))
            connection.sendall(f"-eval {expression}\n".encode())
            answer = b""
            while received := connection.recv(65536):  # it closes after the last answer
                answer += received
        if error := re.search(rb"^-error (.*)$", answer, re.MULTILINE):
            raise RuntimeError(error[1].decode().replace("&_", " "))
        printed = b"".join(re.findall(rb"^-print(?:-nonl)? (\S*)$", answer, re.MULTILINE))
        return json.loads(base64.b64decode(printed.replace(b"&n", b"").strip(b'"')))

    def until(self, look: Callable[[], Result], what: str) -> Result:
        """Return the first true value of ``look``."""
        end = time.monotonic() + TIMEOUT_S
        while not (seen := look()):
            assert time.monotonic() < end, f"{what} did not happen; told {self.told()}\n{self.screen.screen()}"
            time.sleep(0.05)
        return seen

    def type(self, *keys: str) -> None:
        """Type keys, named as in tmux (``Tab``, ``M-x``), and texts."""
        for key in keys:
            self.screen.tmux("send-keys", key)

    def path(self) -> Path:
        """The path of the file that ``open`` makes."""
        return self.folder / self.name

    def open(self, text: str) -> None:
        """Show a file with this text in the window, with the cursor at its end."""
        self.path().write_bytes(text.encode())
        self.lisp(f"(progn (find-file {json.dumps(str(self.path()))}) (goto-char (point-max)) nil)")
        self.type("C-e")  # eglot looks for a server after the next command

    def wait_server(self) -> None:
        """Wait until the server has a model. Earlier requests may be answered with nothing."""
        self.until(lambda: self.lisp("(if (eglot-current-server) t :false)"), "the server's start")
        ask = '\'(:command "midtoken.server.modelInfo" :arguments [])'
        state = f"(plist-get (jsonrpc-request (eglot-current-server) :workspace/executeCommand {ask}) :state)"
        self.until(lambda: self.lisp(state) == "ready", "the model's load")

    def server_pid(self) -> int | None:
        """The process id of the server of the buffer in the window, while it is connected."""
        server = "(let ((it (eglot-current-server))) (if it (process-id (jsonrpc--process it)) nil))"
        pid: int | None = self.lisp(server)
        return pid

    def text(self) -> str:
        return str(self.lisp("(buffer-substring-no-properties (point-min) (point-max))"))

    def listed(self) -> list[str]:
        """The candidates in the buffer of completions in the window below."""
        listed = """(if (get-buffer-window "*Completions*") (with-current-buffer "*Completions*"
          (vconcat (let (all) (save-excursion (goto-char (point-min)) (let (found)
            (while (setq found (text-property-search-forward 'completion--string))
              (push (format "%s" (let ((value (prop-match-value found))) (if (consp value) (car value) value))) all))))
            (nreverse all)))) [])"""
        return list(self.lisp(listed))

    def told(self) -> str:
        """Everything that was shown in the echo area since the start."""
        return str(self.lisp('(with-current-buffer "*Messages*" (buffer-substring-no-properties 1 (point-max)))'))


@contextmanager
def editor(emacs: Program, folder: Path, configuration: str) -> Iterator[Editor]:
    """An Emacs with ``configuration`` as its only configuration and ``folder`` as its home."""
    with tempfile.TemporaryDirectory(prefix="midtoken-") as short:  # Emacs requires that only the user can read it
        address = Path(short) / "server"
        own = f"""(setq inhibit-startup-screen t make-backup-files nil auto-save-default nil create-lockfiles nil
          server-socket-dir {json.dumps(short)})
        (server-start)
        """
        (folder / "init.el").write_text(f"{own}{configuration}", encoding="utf-8")
        command = [str(emacs.path), "--no-window-system", "--quick", "--load", str(folder / "init.el")]
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MIDTOKEN_", "EMACS"))}
        with terminal(command, {**ours, **emacs.environment, "HOME": str(folder), "LC_ALL": "C.UTF-8"}) as screen:
            end = time.monotonic() + TIMEOUT_S
            while not address.exists():
                assert time.monotonic() < end, f"Emacs did not start:\n{screen.screen()}"
                time.sleep(0.05)
            yield Editor(screen, address, folder)
