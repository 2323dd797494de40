"""``midtoken serve`` with an eye on the model: ``python -m benchmarks.keystrokes.observed_server LOG MODEL DEVICE``.

The server is the real one. Around its completer stands a clock that writes one JSON line to LOG for each call of the
model: what it was asked (the end of the text before the cursor), when it began and ended, when each forward pass ran,
how it ended. A client cannot see that; least of all of requests that it cancelled.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks.keystrokes.watched import Watched, watching
from engine import CancellationToken, Cancelled, Completer, CompletionRequest, CompletionResult
from engine.session import OrtSession
from lsp_server.calls import OnText
from lsp_server.model import CompleterLike, Loader
from lsp_server.server import serve

CONTEXT_CHARACTERS = 200
"""Of the text before the cursor, what tells one place from another."""


class Passes:
    """When forward passes began, since it was last asked."""

    def __init__(self) -> None:
        self._begun: list[float] = []

    def count(self, run: Any) -> Any:
        """``run`` with its calls noted."""

        def counted(*args: Any, **keywords: Any) -> Any:
            self._begun.append(time.monotonic())
            return run(*args, **keywords)

        return counted

    def take(self) -> list[float]:
        begun, self._begun = self._begun, []
        return begun


class Observed(Watched):
    """A completer whose calls are written down; the first line says when it was loaded."""

    def __init__(self, completer: CompleterLike, log: TextIO, passes: Passes) -> None:
        super().__init__(completer)
        self._log = log
        self._passes = passes
        self._write({"loaded": time.monotonic()})

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        """Complete, and write down what it took."""
        written = ""

        def heard(text: str) -> None:
            nonlocal written
            written = text
            if on_text is not None:
                on_text(text)

        self._passes.take()
        started = time.monotonic()
        outcome, texts = "failed", list[str]()
        try:
            result = super().complete(request, cancel, heard)
            outcome, texts = "finished", [completion.text for completion in result.completions]
        except Cancelled:
            outcome = "cancelled"
            raise
        finally:
            call = {"started": started, "ended": time.monotonic(), "outcome": outcome, "texts": texts}
            place = {"context": request.prefix[-CONTEXT_CHARACTERS:], "written": written}
            self._write({**place, "passes": self._passes.take(), **call})
        return result

    def _write(self, value: dict[str, Any]) -> None:
        self._log.write(json.dumps(value) + "\n")
        self._log.flush()


def observing(load: Loader, log: TextIO, passes: Passes) -> Loader:
    """A loader whose completers are observed."""
    return watching(load, lambda completer: Observed(completer, log, passes))


def main() -> int:
    """Serve until the client leaves."""
    log, model, device = sys.argv[1:]
    passes = Passes()
    # Every forward pass goes through one of the two; nothing in the server knows that they are counted.
    OrtSession.forward = passes.count(OrtSession.forward)  # type: ignore[method-assign]
    OrtSession.step = passes.count(OrtSession.step)  # type: ignore[method-assign]
    with Path(log).open("w", encoding="utf-8") as stream:
        load = observing(Completer.load, stream, passes)
        return serve(model=Path(model), device=device, load=load)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
