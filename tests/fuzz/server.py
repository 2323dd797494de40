"""The server with a fake model in a process of its own, as the fuzzer talks to it."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.clients import FAKE_SERVER, ROOT, environment

URI = "file:///project/right.py"
TIMEOUT_S = 300.0
"""Upper limit for waiting. A fuzzer runs for hours beside other work; only a server that hangs takes this long."""
STEP_S = 1.0


@dataclass
class Waited:
    """How long somebody waited. A step counts as one second at most: a run that is stopped and continued (SIGSTOP,
    SIGCONT, a laptop that sleeps) must not take the pause for slowness.
    """

    seconds: float = 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a wait of `STEP_S` at most."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += min(time.monotonic() - began, STEP_S)


class Server:
    """A server and its answers."""

    def __init__(self) -> None:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(
            FAKE_SERVER, stdin=pipe, stdout=pipe, stderr=nothing, env=environment(MIDTOKEN_DEBOUNCE_MS="0"), cwd=ROOT
        )
        self.answered: set[int] = set()
        self.waited = Waited()
        self._ours: queue.Queue[Any] = queue.Queue()
        self._writing = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def peak_kib(self) -> int:
        """The peak of the memory on Linux; 0 elsewhere."""
        status = Path(f"/proc/{self._process.pid}/status")
        return int(status.read_text().split("VmHWM:")[1].split()[0]) if status.exists() else 0

    def send(self, *pieces: bytes) -> None:
        """Write the pieces without a break, so that no answer to a question of the server comes between them."""
        assert self._process.stdin is not None
        with self._writing:
            for data in pieces:
                self._process.stdin.write(data)
                self._process.stdin.flush()

    def tell(self, method: str, params: Any) -> None:
        self._send_json({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, name: str, method: str, params: Any) -> Any:
        """The result of a request whose id is ``name``."""
        self._send_json({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
        until = self.waited.seconds + TIMEOUT_S
        while self.waited.seconds < until:
            with self.waited.step(), suppress(queue.Empty):
                answer = self._ours.get(timeout=STEP_S)
                if answer.get("id") == name:
                    return answer.get("result", answer.get("error"))
        raise TimeoutError(f"no answer to {method} in {TIMEOUT_S:g} s")

    def begin(self, params: Any) -> None:
        assert "capabilities" in self.ask("begin", "initialize", params)
        self.tell("initialized", None)

    def settle(self) -> None:
        """Finish what was sent, with the first settings and switches."""
        self.tell("workspace/didChangeConfiguration", {"settings": {"midtoken": {}}})
        self.ask("settle", "workspace/executeCommand", {"command": "midtoken.server.enable"})
        for language in ("python", "c"):
            params = {"command": "midtoken.server.enable", "arguments": [language]}
            self.ask("settle", "workspace/executeCommand", params)

    def complete(self) -> str | None:
        """The answer to a right request."""
        document = {"uri": URI, "languageId": "python", "version": 1, "text": "x"}
        self.tell("textDocument/didOpen", {"textDocument": document})
        place = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 1}, "context": {"triggerKind": 1}}
        result = self.ask("right", "textDocument/inlineCompletion", place)
        self.tell("textDocument/didClose", {"textDocument": {"uri": URI}})
        items = result.get("items") if isinstance(result, dict) else None
        return items[0]["insertText"] if items else None

    def leave(self) -> int:
        """Its exit status."""
        self.ask("leave", "shutdown", None)
        self.tell("exit", None)
        until = self.waited.seconds + TIMEOUT_S
        while self.waited.seconds < until:
            with self.waited.step(), suppress(subprocess.TimeoutExpired):
                return self._process.wait(STEP_S)
        raise TimeoutError(f"the server did not leave within {TIMEOUT_S:g} s")

    def _send_json(self, message: Any) -> None:
        body = json.dumps(message).encode()
        self.send(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while line := stream.readline():
            length = int(line.split(b":")[1])
            while stream.readline().strip():
                pass
            self._take(json.loads(stream.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if "method" in message:
            if message["method"] == "workspace/configuration":
                self._send_json({"jsonrpc": "2.0", "id": number, "result": [{}]})
            elif number is not None:
                self._send_json({"jsonrpc": "2.0", "id": number, "result": None})
        elif isinstance(number, int):
            self.answered.add(number)
        else:
            self._ours.put(message)
