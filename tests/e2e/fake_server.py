"""The real server with a completer that needs no model: ``python -m tests.e2e.fake_server [HOST PORT [TOKEN_FILE]]``.

If the environment has ``FAKE_MODEL_LOG``, the server adds a line to that file for each call of the model.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from engine import CompletionRequest, CompletionResult, DeviceChoice, ModelFolderError
from lsp_server.scheduling.model import trust
from lsp_server.server import serve
from tests.lsp_server.fakes import FakeCompleter


class WritingCompleter(FakeCompleter):
    """A fake that writes down what it is asked. With a model folder named "two" its first answer is "two"."""

    def __init__(self, name: str) -> None:
        super().__init__(("two", "one") if name == "two" else ("one", "two", "three"))
        self._name = name
        self._log = os.environ.get("FAKE_MODEL_LOG")

    def complete(self, request: CompletionRequest, *rest: Any, **more: Any) -> CompletionResult:
        if self._log:
            call = {
                "model": self._name,
                "prefix": request.prefix,
                "suffix": request.suffix,
                "count": request.max_completions,
                "healing": request.healing.mode,
            }
            with Path(self._log).open("a", encoding="ascii") as stream:
                stream.write(json.dumps(call) + "\n")
        return super().complete(request, *rest, **more)


def load(
    model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
) -> WritingCompleter:
    """A fake. A model folder named "bad" cannot be loaded, and loading one named "endless" does not end."""
    name = model_dir.name if model_dir else "one"
    if name == "endless":
        sys.stderr.write("it begins\n")
        sys.stderr.flush()
        threading.Event().wait()
    if name == "bad":
        raise ModelFolderError("no model folder at bad; give one")
    return WritingCompleter(name)


def main() -> int:
    address, token_file = sys.argv[1:3], sys.argv[3:]
    tcp = (address[0], int(address[1])) if address else None
    return serve(tcp=tcp, token_file=Path(token_file[0]) if token_file else None, load=load, probe=trust)


if __name__ == "__main__":
    sys.exit(main())
