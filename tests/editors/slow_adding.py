"""``python -m tests.editors.slow_adding serve``: a server whose adding of a model never ends on its own.

So a test can cancel it, however fast or slow the machine is.
"""

import sys
from collections.abc import Sequence

from lsp_server.cli import main
from lsp_server.features import models
from lsp_server.models.background import Outcome, add_in_process
from lsp_server.models.converting import Progress

WAITS = """
import json, sys
sys.stdin.buffer.readline()
print(json.dumps({"share": 0.5, "doing": "weights"}), flush=True)
sys.stdin.buffer.read()
print(json.dumps({"cancelled": True}), flush=True)
"""


async def add_slowly(worker: Sequence[str], model: str, progress: Progress) -> Outcome:
    """Report half of the work at once and the rest never."""
    return await add_in_process((sys.executable, "-c", WAITS), model, progress)


if __name__ == "__main__":
    vars(models)["add_in_process"] = add_slowly
    sys.exit(main())
