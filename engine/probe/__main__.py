"""The child: ``python -m engine.probe FOLDER SECONDS BYTES``. Prints what is wrong with the model in one line of JSON.

Started by `engine.probe.parent`, with a pipe as standard input. If the pipe is closed, the parent has ended.
"""

import json
import os
import sys
import threading
from pathlib import Path

from engine.completer import Completer
from engine.config import StopParams
from engine.errors import MidtokenError
from engine.probe.limits import Limits, limit_this_process
from engine.runtime.session import LEAST_CONTEXT
from engine.types import CompletionRequest

THREADS = 2
"""Threads of a pass. They are few because each takes address space."""
PASSED, REFUSED = 0, 3
ASKED = CompletionRequest("def area(width, height):\n    return wid", "\n\nprint(area(2, 3))\n", stop=StopParams(8))


def main() -> int:
    """Load the folder and complete once; the exit status is `REFUSED` if it is refused."""
    folder, seconds, address_space = sys.argv[1:]
    out = _own_output()
    limit_this_process(Limits(float(seconds), int(address_space)))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        Completer.load(Path(folder), device="cpu", threads=THREADS, context_tokens=LEAST_CONTEXT).complete(ASKED)
    except MidtokenError as error:
        return _refuse(out, str(error))
    except MemoryError:
        return _refuse(out, f"{folder} takes more memory than a model of its size may; use another model")
    return PASSED


def _own_output() -> int:
    """A descriptor of standard output that libraries do not know, so that the parent does not get what they print."""
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return out


def _refuse(out: int, problem: str) -> int:
    os.write(out, json.dumps(problem).encode() + b"\n")
    return REFUSED


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    status = main()
    # Leave at once, without waiting for threads of the libraries.
    os._exit(status)
