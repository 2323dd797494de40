"""A terminal with a real screen, by tmux: it shows what the user sees, whatever an editor's interface reports."""

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.editors.programs import TMUX

TIMEOUT_S = 60.0


class Terminal:
    """A terminal of 80 columns and 24 rows with a tmux server of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = [str(TMUX.find().path), "-S", str(socket), "-f", "/dev/null"]

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


@contextmanager
def terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal in which ``command`` runs. ``environment`` is added to this process's own."""
    assigned = [f"{name}={value}" for name, value in environment.items() if name not in ("TERM", "TMUX")]
    with tempfile.TemporaryDirectory(prefix="midtoken-") as short:  # the path of a socket has at most 107 bytes
        started = Terminal(Path(short) / "tmux")
        line = shlex.join(["env", *assigned, *command])
        started.tmux("new-session", "-d", "-x", "80", "-y", "24", line)
        try:
            yield started
        finally:
            started.tmux("kill-server")
