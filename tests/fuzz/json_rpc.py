"""A million messages that are almost right: ``python -m tests.fuzz.json_rpc [--messages 1000000] [--seed 1]``.

Messages of every method are built, then damaged: fields dropped, doubled or of other types, numbers of any size, lone
surrogates, deep nests, frames in pieces, false headers. After each burst a right completion must come. The program
prints the number of messages sent, the requests that were never answered, the slowest right completion, and the peak of
the memory.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.server import Server

BURST = 400
PATIENCE_S = 60.0
"""Time for answers that come later than the answer to a newer request."""
SESSION = 40_000
"""Messages to one server before it must leave with the right status."""
URIS = (
    "file:///project/a.py", "file:///project/b.py", "untitled:1", "cell:1", "nb:1", "", "\ud800", "file:///%00",
    "http://[",
)  # fmt: skip
TEXTS = (
    "", "x", "import os\nos.", "a\r\nb\rc\n", "\ud83d", "é" * 50, "([{" * 40, "'" * 30, "\x00\u2028\x85", "!nothing",
    "!error", "!crash",
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 3, 27, 0.5, -0.0, 1e308, 2**31, 2**53, 2**64, -(2**63), 10**30)


@dataclass
class Found:
    """What a run found out about the server."""

    messages: int = 0
    requests: int = 0
    unanswered: int = 0
    bursts: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    peak_kib: int = 0

    @property
    def is_good(self) -> bool:
        return not self.wrong and not self.unanswered

    def __str__(self) -> str:
        lines = [
            f"{self.messages} messages in {self.bursts} bursts, {self.requests} of them requests",
            f"never answered: {self.unanswered}; wrong: {len(self.wrong)}",
            f"slowest completion after a burst: {self.slowest_ms:.0f} ms; peak memory: {self.peak_kib / 1024:.0f} MiB",
        ]
        return "\n".join([*lines, *self.wrong[:10]])


class Messages:
    """Makes messages from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._id = 1000

    def pick(self, among: Any) -> Any:
        return self._random.choice(among)

    def odd(self, depth: int = 0) -> Any:
        """Any value of JSON."""
        kind = self._random.randrange(9 if depth < 3 else 6)
        if kind == 6:
            return [self.odd(depth + 1) for _ in range(self._random.randrange(4))]
        if kind == 7:
            return {self.pick(("uri", "text", "line", "id", "x")): self.odd(depth + 1) for _ in range(3)}
        if kind == 8:
            return self.nest()
        return (None, True, False, self.pick(NUMBERS), self.pick(TEXTS), self.pick(URIS))[kind]

    def nest(self) -> Any:
        value: Any = []
        for _ in range(self._random.choice((3, 30, 300, 900))):
            value = [value] if self._random.random() < 0.5 else {"a": value}
        return value

    def place(self) -> dict[str, Any]:
        return {"line": self._random.randrange(4), "character": self._random.randrange(9)}

    def change(self) -> dict[str, Any]:
        whole = {"text": self.pick(TEXTS)}
        if self._random.random() < 0.3:
            return whole
        return {**whole, "range": {"start": self.place(), "end": self.place()}}

    def document(self) -> dict[str, Any]:
        language = self.pick(("python", "c", ""))
        return {"uri": self.pick(URIS), "languageId": language, "version": 1, "text": self.pick(TEXTS)}

    def message(self) -> tuple[str, Any]:
        """A right message of some method."""
        uri, version = self.pick(URIS), self._random.randrange(9)
        identified = {"textDocument": {"uri": uri, "version": version}}
        cells = [{"kind": 2, "document": self.pick(URIS)} for _ in range(2)]
        asked = {**identified, "position": self.place(), "context": {"triggerKind": self._random.randrange(4)}}
        item = {"command": {"arguments": [uri]}}
        notebook = {"notebookDocument": {"uri": uri, "cells": cells}}
        changes = [self.change() for _ in range(2)]
        changed_cells = {
            "structure": {"array": {"start": version, "deleteCount": 1, "cells": cells}, "didClose": [{"uri": uri}]},
            "textContent": [{"document": {"uri": uri, "version": 2}, "changes": changes}],
            "data": cells,
        }
        settings = {"topP": 1, "exclude": ["*a"], "budgetMs": 99, "languages": ["c"]}
        command = f"midtoken.server.{self.pick(COMMANDS)}"
        makers: tuple[tuple[str, Any], ...] = (
            ("textDocument/didOpen", {"textDocument": self.document()}),
            ("textDocument/didChange", {**identified, "contentChanges": changes}),
            ("textDocument/didClose", identified),
            ("textDocument/inlineCompletion", asked),
            ("textDocument/completion", asked),
            ("completionItem/resolve", {"label": "x", "data": self.pick(TEXTS)}),
            ("workspace/didChangeConfiguration", {"settings": {"midtoken": settings}}),
            ("workspace/executeCommand", {"command": command, "arguments": [uri]}),
            ("notebookDocument/didOpen", {**notebook, "cellTextDocuments": [self.document()]}),
            ("notebookDocument/didChange", {**notebook, "change": {"cells": changed_cells}}),
            ("notebookDocument/didClose", {**notebook, "cellTextDocuments": [{"uri": uri}]}),
            ("textDocument/didShowCompletion", {"item": item}),
            ("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 3}),
            ("$/cancelRequest", {"id": self._id - self._random.randrange(5)}),
            ("$/setTrace", {"value": "off"}),
            ("window/workDoneProgress/cancel", {"token": uri}),
            ("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": []}}),
            ("initialized", {}),
            ("initialize", {"capabilities": {}}),
            ("midtoken/unknown", [1]),
        )
        return makers[self._random.randrange(len(makers))]

    def damaged(self, value: Any) -> Any:
        """A message with some damage."""
        if self._random.random() < 0.25 or not isinstance(value, dict | list) or not value:
            return self.odd()
        if isinstance(value, list):
            at = self._random.randrange(len(value))
            return [*value[:at], self.damaged(value[at]), *value[at + self._random.randrange(2) :]]
        name = self.pick(list(value))
        if self._random.random() < 0.2:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: self.damaged(value[name])}

    def frames(self, count: int) -> Iterator[tuple[bytes, int | None]]:
        """The bytes that are sent, and the id of a request that must be answered in any case."""
        for _ in range(count):
            method, params = self.message()
            message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
            number = None
            if method in REQUESTS or self._random.random() < 0.02:
                self._id += 1
                number = message["id"] = self._id
            if self._random.random() < 0.6:
                message["params"] = self.damaged(params)
            if self._random.random() < 0.05:
                message, number = self.damaged(message), None
                if not isinstance(message, dict) or message.get("method") in ("exit", "shutdown"):
                    message = {}
            yield self._framed(json.dumps(message).encode(), number)

    def _framed(self, body: bytes, number: int | None) -> tuple[bytes, int | None]:
        chance = self._random.random()
        if chance < 0.005:
            return b"Content-Length: %d\r\n\r\n%b" % (max(0, len(body) - 5), body), None
        if chance < 0.01:
            return self._random.randbytes(30).replace(b"C", b"c") + b"\r\n\r\n", None
        if chance < 0.05:
            return b"content-type: x\r\nCONTENT-LENGTH:%d\r\n\r\n%b" % (len(body), body), number
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body), number


REQUESTS = (
    "textDocument/inlineCompletion",
    "textDocument/completion",
    "completionItem/resolve",
    "workspace/executeCommand",
    "initialize",
)
COMMANDS = ("accept", "enable", "disable", "modelInfo", "statistics", "showLog", "unknown")


def run(count: int, seed: int, *, is_talkative: bool = False) -> Found:
    """Send that many messages, in one session after the other."""
    found, messages = Found(), Messages(seed)
    while found.messages < count:
        with Server() as server:
            server.begin(messages.damaged({"capabilities": {"workspace": {"configuration": True}}, "processId": None}))
            until = min(count, found.messages + SESSION)
            while found.messages < until:
                _burst(server, messages, min(BURST, until - found.messages), found)
            found.peak_kib = max(found.peak_kib, server.peak_kib)
            if server.leave() != 0:
                found.wrong.append("the server did not leave as it should")
        if is_talkative:
            sys.stdout.write(f"{found}\n\n")
            sys.stdout.flush()
    return found


def _burst(server: Server, messages: Messages, count: int, found: Found) -> None:
    owed: set[int] = set()
    data = bytearray()
    for frame, number in messages.frames(count):
        data += frame
        if number is not None:
            owed.add(number)
    half = len(data) // 2  # split anywhere
    server.send(bytes(data[:half]), bytes(data[half:]) + b"\r\n" * 200)
    found.messages += count
    found.requests += len(owed)
    found.bursts += 1
    server.settle()
    began_s = server.waited.seconds
    said = server.complete()
    found.slowest_ms = max(found.slowest_ms, (server.waited.seconds - began_s) * 1000)
    if said != "xone":
        found.wrong.append(f"a right completion came out as {said!r} after {found.messages} messages")
    until_s = server.waited.seconds + PATIENCE_S
    while owed - server.answered and server.waited.seconds < until_s:
        with server.waited.step():
            time.sleep(0.01)
    found.unanswered += len(owed - server.answered)
    server.answered.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    found = run(options.messages, options.seed, is_talkative=True)
    sys.stdout.write(f"{found}\n{time.monotonic() - began:.0f} s\n")
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
