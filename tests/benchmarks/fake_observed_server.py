"""The observed server with a completer that needs no model: ``python -m tests.benchmarks.fake_observed_server LOG``.

It knows one text and completes every place in it with the next characters.
"""

import sys
from pathlib import Path

from benchmarks.keystrokes.observed_server import Observer, Passes
from engine import CancellationToken, CompletionRequest, CompletionResult
from lsp_server.scheduling.model_call import OnText
from lsp_server.server import serve
from tests.lsp_server.fakes import FakeCompleter, result_of

KNOWN = "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n"
AHEAD = 9


class Knowing(FakeCompleter):
    """Writes what follows in `KNOWN`, to the end of the line, with one forward pass for each character."""

    def __init__(self, passes: Passes) -> None:
        super().__init__()
        self._forward = passes.count(lambda: None)

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        at = KNOWN.find(request.prefix)
        text = KNOWN[at + len(request.prefix) :][:AHEAD].partition("\n")[0] if at >= 0 else "nothing of the kind"
        for _ in text:
            self._forward()
        return result_of(*filter(None, [text]))


def main() -> int:
    """Serve until the client leaves."""
    passes = Passes()
    with Path(sys.argv[1]).open("w", encoding="utf-8") as stream:
        return serve(load=Observer(stream, Knowing(passes).load, passes).load)


if __name__ == "__main__":
    sys.exit(main())
