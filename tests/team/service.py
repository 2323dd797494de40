"""`midtoken team` as a process, and what its clients do."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from engine import CompletionRequest, StopParams
from lsp_server.remote.address import Remote
from lsp_server.scheduling.remote_model import RemoteCompleter
from lsp_server.team.events import Event, EventReader
from tests.lsp_server.fakes import FakeCompleter

TOKEN = "a-token-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "x-session-id": "one"}
START_S = 180
PREFIX = "".join(f"def function_{number}(value):\n    return value + {number}\n\n\n" for number in range(20))
LONG = {"prefix": PREFIX, "single_line": False, "max_new_tokens": 256, "stream": True}
"""A request that takes a while."""
SMALL = "{name: small, replicas: 2, cpus: 0.2, threads: 1, context_tokens: 1024}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Service:
    """A process that serves, and the lines that it printed."""

    process: "subprocess.Popen[str]"
    url: str
    folder: Path
    lines: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)

    @property
    def config(self) -> Path:
        return self.folder / "midtoken-team.yaml"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    def said(self, text: str) -> str:
        """The next line with that text; fails where the process ends or takes too long."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                line = self.lines.get(timeout=0.5)
                if text in line:
                    return line
            assert self.process.poll() is None or not self.lines.empty(), f"it ended with {self.process.returncode}"
        raise AssertionError(f"it never said {text!r}")

    def ended(self) -> int:
        """The status with which it ends."""
        return self.process.wait(START_S)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)


def write_config(folder: Path, models: str, more: str = "") -> None:
    """The file of a service, and its token."""
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    (folder / "midtoken-team.yaml").write_text(
        f"models: [{models}]\ntokens: [{{name: a, file: {token}, requests_per_second: 1000, concurrent: 64}}]\n{more}\n"
    )


@contextlib.contextmanager
def serving(
    folder: Path,
    *,
    port: int = 0,
    before: tuple[str, ...] = (),
    scheme: str = "http",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Service]:
    """A service of the file in a folder. It is told to end with the context, unless it has ended."""
    port = port or free_port()
    command = [*before, sys.executable, "-m", "lsp_server", "team", "--config", str(folder / "midtoken-team.yaml")]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    service = Service(process, f"{scheme}://127.0.0.1:{port}", folder)
    reading = threading.Thread(target=service._read, daemon=True)
    reading.start()
    try:
        service.said(f"listens on {service.url}")
        yield service
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert service.ended() == 0
    finally:
        process.kill()  # whatever went wrong: its children end with it
        process.wait(START_S)
        reading.join(START_S)
        assert process.stdout is not None
        process.stdout.close()


def ask(url: str, prefix: str = "import nump", model: str = "", **headers: str) -> httpx.Response:
    body = {"prefix": prefix, "model": model}
    return httpx.post(f"{url}/v1/complete", json=body, headers={**HEADERS, **headers}, timeout=60)


def stream(url: str, on_event: Callable[[Event], None], body: dict[str, Any] = LONG, session: str = "one") -> None:
    """Each event of a streamed answer."""
    headers = {**HEADERS, "x-session-id": session}
    with httpx.stream("POST", f"{url}/v1/complete", json=body, headers=headers, timeout=60) as response:
        reader = EventReader()
        for part in response.iter_bytes():
            for event in reader.feed(part):
                on_event(event)


def metric(url: str, name: str) -> float:
    """The value of a line of the metrics; 0 where there is none."""
    text = httpx.get(f"{url}/metrics", headers=HEADERS, timeout=60).text
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)


class Editor:
    """The client of an editor, with a local model behind it. By its clock a pause is over with the next call."""

    def __init__(self, url: str, token: Path) -> None:
        self._now = 0.0
        self.completer = RemoteCompleter(FakeCompleter(("local",)), Remote(url, token), self._clock)

    def _clock(self) -> float:
        self._now += 1000.0
        return self._now

    def complete(self, budget_ms: float = 20_000.0) -> str:
        """The text of an answer: there is always one."""
        request = CompletionRequest("import nump", budget_ms=budget_ms, stop=StopParams(max_new_tokens=8))
        return self.completer.complete(request).completions[0].text

    def __enter__(self) -> "Editor":
        return self

    def __exit__(self, *_: object) -> None:
        self.completer.close()

    def until(self, who: str) -> None:
        """Until the service answers again, or the local model does."""
        eventually(lambda: (self.complete() == "local") == (who == "local"))


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)
