"""A minimal client of a language server: one document, one request at a time, over its standard streams."""

import json
import subprocess
from typing import Any

URI = "file:///document.py"


def framed(message: dict[str, Any]) -> bytes:
    """A message with its header."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode("utf-8")
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class LspClient:
    """Talks to a running server. End with `close`, as an editor does."""

    def __init__(self, process: "subprocess.Popen[bytes]", options: dict[str, Any]) -> None:
        self._process = process
        self._id = 0
        self._version = 0
        self.request("initialize", {"processId": None, "capabilities": {}, "initializationOptions": options})
        self.notify("initialized", {})

    def open(self, text: str) -> None:
        """Open the document."""
        document = {"uri": URI, "languageId": "python", "version": 0, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def type(self, line: int, character: int, text: str, uri: str = URI) -> None:
        """Insert text."""
        place = {"line": line, "character": character}
        self._version += 1
        document = {"uri": uri, "version": self._version}
        changes = [{"range": {"start": place, "end": place}, "text": text}]
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def inline_completion(self, line: int, character: int, uri: str = URI) -> list[str]:
        """The texts of the ghost text items."""
        place = {"line": line, "character": character}
        params = {"textDocument": {"uri": uri}, "position": place, "context": {"triggerKind": 1}}
        found = self.request("textDocument/inlineCompletion", params) or []
        items = found["items"] if isinstance(found, dict) else found
        return [item["insertText"] for item in items]

    def close(self) -> int:
        """Shut the server down; returns its exit status."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self._process.wait(30)

    def request(self, method: str, params: Any) -> Any:
        """Send a request and wait for the result. Requests of the server are answered with null meanwhile."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            message = self._receive()
            if "method" in message:
                if "id" in message:
                    self._send({"id": message["id"], "result": None})
            elif message.get("id") == self._id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error'].get('message')}")
                return message.get("result")

    def notify(self, method: str, params: Any) -> None:
        """Tell."""
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(framed(message))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self._process.stdout.read(length)
        if not body:
            raise RuntimeError("the server has left")
        message: dict[str, Any] = json.loads(body)
        return message
