"""A server's process and its client: many requests at once, each answer with the time when it came."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.lsp_client import framed

TIMEOUT_S = 60.0
CAPABILITIES: Mapping[str, Any] = {
    "textDocument": {"inlineCompletion": {}, "synchronization": {}},
    "workspace": {"configuration": True},
    "experimental": {"midtokenMoreText": True},
}
MORE_TEXT = "midtoken/moreText"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, when it was read (`time.monotonic`), and whether it is an error of the protocol."""

    at_s: float
    result: Any
    failed: bool


class ServerProcess:
    """Make it with `started`. Requests of the server are answered: for its settings with ``settings``, others with
    null.
    """

    def __init__(self, process: asyncio.subprocess.Process, settings: Mapping[str, Any]) -> None:
        self.process = process
        self.settings = settings
        self.told: list[dict[str, Any]] = []
        """Notifications of the server, oldest first."""
        self.on_more: Callable[[dict[str, Any]], None] = lambda place: None
        """Called with the parameters of `MORE_TEXT`."""
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def started(
        cls, command: Sequence[str], environment: Mapping[str, str], settings: Mapping[str, Any]
    ) -> "ServerProcess":
        """Start the program and introduce the client."""
        pipe, silent = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), stdin=pipe, stdout=pipe, stderr=silent
        )
        server = cls(process, settings)
        parameters = {"processId": None, "rootUri": None, "capabilities": CAPABILITIES}
        await server.request("initialize", parameters)
        server.notify("initialized", {})
        return server

    def ask(self, method: str, params: Any) -> tuple[int, "asyncio.Future[Reply]"]:
        """Send a request; its number, for `cancel`, and its answer to come."""
        self._number += 1
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self._send({"id": self._number, "method": method, "params": params})
        return self._number, self._waiting[self._number]

    async def request(self, method: str, params: Any) -> Any:
        """Send a request and wait for the result. Raises RuntimeError for an error, TimeoutError if nothing comes."""
        reply = await asyncio.wait_for(self.ask(method, params)[1], TIMEOUT_S)
        if reply.failed:
            raise RuntimeError(f"{method} failed: {reply.result}")
        return reply.result

    def notify(self, method: str, params: Any) -> None:
        """Tell."""
        self._send({"method": method, "params": params})

    def cancel(self, number: int) -> None:
        """Say that nobody waits for an answer any more."""
        self.notify("$/cancelRequest", {"id": number})

    async def close(self) -> int:
        """Shut the server down as an editor does; returns the exit status."""
        try:
            await self.request("shutdown", None)
            self.notify("exit", None)
            return await asyncio.wait_for(self.process.wait(), TIMEOUT_S)
        finally:
            if self.process.returncode is None:
                self.process.kill()
            await asyncio.gather(self._reading, self.process.wait(), return_exceptions=True)

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(framed(message))

    async def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        try:
            while True:
                head = await stream.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
                )
                self._take(json.loads(await stream.readexactly(length)))
        except asyncio.IncompleteReadError:
            pass
        finally:
            for future in self._waiting.values():
                future.cancel()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            future = self._waiting.pop(message["id"], None)
            if future is not None and not future.done():
                failed = "error" in message
                future.set_result(Reply(time.monotonic(), message["error" if failed else "result"], failed))
        elif "id" in message:
            asked = message["method"] == "workspace/configuration"
            self._send({"id": message["id"], "result": [self.settings] if asked else None})
        else:
            self.told.append(message)
            if message["method"] == MORE_TEXT:
                self.on_more(message["params"])
