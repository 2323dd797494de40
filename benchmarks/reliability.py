"""What a user sees when something goes wrong around the server: ``python -m benchmarks.reliability``.

Each line of the table starts the server with the bundled model under one condition, asks for a completion as an editor
does, and prints the result. Linux only.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
COMMAND = (sys.executable, "-m", "lsp_server", "serve")
URI = "file:///project/a.py"
TEXT = "import os\n\n\ndef first(path):\n    return os.pa"


@dataclass(frozen=True, slots=True)
class Case:
    """A condition: how the process is started, and what is done to it after its first completion."""

    name: str
    environment: Mapping[str, str | None] = field(default_factory=dict)
    limits: Callable[[], None] | None = None
    then: Callable[["Editor"], str] | None = None
    errors_to: str = ""
    within: tuple[str, ...] = ()
    """A command that starts the server's."""


class Editor:
    """The client's side of one server."""

    def __init__(self, case: Case, home: Path) -> None:
        values = {"HOME": str(home), "XDG_CACHE_HOME": None, "MIDTOKEN_BUDGET_MS": "60000", **case.environment}
        env = {name: value for name, value in {**os.environ, **values}.items() if value is not None}
        errors = Path(case.errors_to).open("wb") if case.errors_to else subprocess.PIPE  # noqa: SIM115 - closed with the process
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            (*case.within, *COMMAND), stdin=pipe, stdout=pipe, stderr=errors, env=env, preexec_fn=case.limits
        )
        self.shown: list[str] = []
        self.items: list[str] = []
        self.log = b""
        self._answers: dict[Any, Any] = {}
        threading.Thread(target=self._read, daemon=True).start()
        if self.process.stderr is not None:
            threading.Thread(target=self._read_log, daemon=True).start()

    def send(self, method: str, params: Any, number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def wait(self, number: int) -> Any:
        """The answer of a request; None if it did not come."""
        end = time.monotonic() + PATIENCE_S
        while number not in self._answers and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.01)
        return self._answers.get(number)

    def begin(self) -> None:
        self.send("initialize", {"processId": None, "capabilities": {}}, 1)
        self.wait(1)
        self.send("initialized", {})
        self.send("textDocument/didOpen", {"textDocument": {"uri": URI, "languageId": "python", "text": TEXT}})

    def complete(self, number: int = 2) -> bool:
        """Whether ghost text comes."""
        place = {"line": TEXT.count("\n"), "character": len(TEXT.rpartition("\n")[2])}
        self.send("textDocument/inlineCompletion", {"textDocument": {"uri": URI}, "position": place}, number)
        answer = self.wait(number)
        return bool(answer and answer.get("result", {}).get("items"))

    def leave(self) -> str:
        """How the server ends when it is asked to."""
        self.send("shutdown", None, 9)
        self.wait(9)
        self.send("exit", None)
        return f"status {self.process.wait(PATIENCE_S)}"

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        try:
            while line := stream.readline():
                length = int(line.split(b":")[1])
                while stream.readline().strip():
                    pass
                message = json.loads(stream.read(length))
                if message.get("method") == "window/showMessage":
                    self.shown.append(message["params"]["message"])
                elif "method" not in message:
                    self._answers[message["id"]] = message
        except (OSError, ValueError):
            return

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log = self.process.stderr.read()


def run(case: Case) -> tuple[str, str, str, str]:
    """The row of a case: its name, whether ghost text came, what was shown, and how it ended."""
    with tempfile.TemporaryDirectory() as home:
        editor = Editor(case, Path(home))
        try:
            editor.begin()
            came = "yes" if editor.complete() else "no"
            end = case.then(editor) if case.then else editor.leave()
        except (OSError, subprocess.TimeoutExpired) as error:
            came, end = "no", f"{type(error).__name__}, status {editor.process.poll()}"
        finally:
            editor.process.kill()
            editor.process.wait()
            time.sleep(0.05)
    told = "; ".join(editor.shown) or _last(editor.log, came)
    return case.name, came, told, end


def _last(log: bytes, came: str) -> str:
    lines = log.decode("utf-8", "replace").splitlines()
    return f"log: {lines[-1]}" if lines and came == "no" else "nothing"


def _killed(editor: Editor) -> str:
    editor.process.send_signal(signal.SIGKILL)
    return f"status {editor.process.wait(PATIENCE_S)}; editors start it again"


def _stopped(editor: Editor) -> str:
    editor.process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    editor.process.send_signal(signal.SIGCONT)
    came = editor.complete(3)
    return f"after it goes on, ghost text {'comes' if came else 'does not come'}; {editor.leave()}"


def _input_closed(editor: Editor) -> str:
    assert editor.process.stdin is not None
    began = time.monotonic()
    editor.process.stdin.close()
    return f"status {editor.process.wait(PATIENCE_S)} after {time.monotonic() - began:.1f} s"


def _signalled(number: signal.Signals, editor: Editor) -> str:
    editor.process.send_signal(number)
    return f"status {editor.process.wait(PATIENCE_S)}"


def _limit(what: int, value: int) -> None:
    resource.setrlimit(what, (value, value))


def _no_file_grows() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _limit(resource.RLIMIT_FSIZE, 0)


ON_A_FULL_DISK = ("unshare", "--mount", "sh", "-c", """
mount -t tmpfs -o size=64k none "$HOME" || exit 77
dd if=/dev/zero of="$HOME/filler" bs=4k 2>/dev/null
export TMPDIR="$HOME"
exec "$@"
""", "full")  # fmt: skip
"""Home and temporary folder are a disk without a free byte, of this process alone. Needs the right to mount."""

CASES = (
    Case("nothing special"),
    Case("`kill -9` of the server", then=_killed),
    Case("SIGTERM", then=partial(_signalled, signal.SIGTERM)),
    Case("SIGSTOP, then SIGCONT", then=_stopped),
    Case("the editor dies (its end of the pipes is closed)", then=_input_closed),
    Case("no space left: no file can grow", limits=_no_file_grows),
    Case("a full disk: home and temporary folder", within=ON_A_FULL_DISK),
    Case("no space left for the log", errors_to="/dev/full"),
    Case("a home that cannot be written", {"HOME": "/proc"}),
    Case("a home that does not exist", {"HOME": "/nowhere/at/all"}),
    Case("no HOME", {"HOME": None}),
    Case("locale C, no UTF-8 mode", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    Case("a locale that does not exist", {"LC_ALL": "xx_YY.EUC-JP"}),
    Case("Turkish", {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    Case("16 open files", limits=partial(_limit, resource.RLIMIT_NOFILE, 16)),
    Case("no core dumps, 1 MiB of stack", limits=partial(_limit, resource.RLIMIT_STACK, 1 << 20)),
    Case("400 MiB of address space", limits=partial(_limit, resource.RLIMIT_AS, 400 << 20)),
    Case("a model folder that does not exist", {"MIDTOKEN_MODEL": "/nowhere/model"}),
)


def main() -> int:
    """Print the table of `docs/reliability.md`."""
    print("| condition | ghost text | what the user sees | the end |\n|---|---|---|---|")
    for case in CASES:
        print("| " + " | ".join(cell.replace("|", "/") for cell in run(case)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
