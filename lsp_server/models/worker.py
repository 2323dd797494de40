"""Adding a model in a process of its own: a broken file cannot take the server down, and its end stops the work.

``python -P -m lsp_server.models.worker`` reads one line of JSON, ``{"model": NAME_OR_PATH}``, and writes one line of
JSON for each step: ``{"share", "doing"}``, and at the end ``{"added", "name", "path"}``, ``{"error"}`` or
``{"cancelled"}``. It stops when its standard input is closed, as it is when the server ends, however it ends.
"""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from engine import Cancelled, MidtokenError
from lsp_server.models.adding import add, plan
from lsp_server.models.names import looks_like_path
from lsp_server.models.registry import Registry, this_registry

_STEP = 0.005
"""What is not worth a line."""


def serve(registry: Registry, source: BinaryIO, write: Callable[[dict[str, Any]], None]) -> int:
    """Do what the first line of ``source`` asks for, until ``source`` ends; returns the exit status."""
    request = json.loads(source.readline())
    model = request["model"]
    closed = threading.Event()

    def watch() -> None:
        source.read()
        closed.set()

    threading.Thread(target=watch, daemon=True).start()
    last = -1.0

    def progress(share: float, doing: str) -> None:
        nonlocal last
        if share - last >= _STEP or share >= 1.0:
            last = share
            write({"share": share, "doing": doing})

    try:
        what = plan(registry, Path(model).expanduser() if looks_like_path(model) else model)
        added = add(registry, what, progress, closed.is_set)
    except Cancelled:
        write({"cancelled": True})
        return 1
    except MidtokenError as error:
        write({"error": " ".join(str(error).split())})
        return 1
    write({"added": not what.is_there, "name": added.name, "path": str(added.folder)})
    return 0


def main() -> int:
    """The process. Nothing but our lines goes to standard output: what libraries print goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr

    def write(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    return serve(this_registry(), sys.stdin.buffer, write)


if __name__ == "__main__":
    sys.exit(main())
