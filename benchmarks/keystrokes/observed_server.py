"""``midtoken serve`` with an eye on the model: ``python -m benchmarks.keystrokes.observed_server LOG MODEL DEVICE``.

The server is the real one. A wrapper around its completer writes one JSON line to LOG for each call of the model: the
end of the text before the cursor, when the call began and ended, when each forward pass ran, how many tokens were read
and written, and how it ended. A client cannot see that, least of all for requests that it cancelled.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

from benchmarks.keystrokes.wrapping import WrappedCompleter
from engine import DEVICES, CancellationToken, Cancelled, Completer, CompletionRequest, CompletionResult, DeviceChoice
from engine.runtime.session import OrtSession
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.scheduling.model import Loader
from lsp_server.scheduling.model_call import OnText
from lsp_server.server import serve

CONTEXT_CHARACTERS = 200
"""Characters before the cursor that distinguish one place from another."""
READING = "reading"
"""The outcome of a call that only reads ahead."""


class Passes:
    """When forward passes began, and how many tokens they read and wrote, since the last `take`."""

    def __init__(self) -> None:
        self._begun: list[float] = []
        self._read = self._written = 0

    def count(self, run: Any, *, writes: bool = False) -> Any:
        """``run``, a method of a session, with its calls noted. One that ``writes`` has a token of each sequence."""

        def counted(*args: Any, **keywords: Any) -> Any:
            self._begun.append(time.monotonic())
            tokens = len(args[1]) if len(args) > 1 else 1
            if writes or tokens == 1:
                self._written += tokens
            else:
                self._read += tokens
            return run(*args, **keywords)

        return counted

    def take(self) -> dict[str, Any]:
        """What was recorded, in the form of a log line."""
        taken = {"passes": self._begun, "read": self._read, "written_tokens": self._written}
        self._begun, self._read, self._written = [], 0, 0
        return taken


class Observer:
    """Loads completers whose calls are logged."""

    def __init__(self, log: TextIO, load: Loader, passes: Passes) -> None:
        self._log = log
        self._load = load
        self._passes = passes

    def load(
        self, model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
    ) -> "ObservedCompleter":
        """Load as the original loader does, and log a line when it is done."""
        completer = self._load(model_dir, device=device, threads=threads)
        self.write({"loaded": time.monotonic()})
        return ObservedCompleter(completer, self)

    def call(
        self, run: Callable[[OnText], CompletionResult], request: CompletionRequest, on_text: OnText | None
    ) -> CompletionResult:
        """One call of a model, which ``run`` makes."""
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
            result = run(heard)
            outcome, texts = "finished", [completion.text for completion in result.completions]
        except Cancelled:
            outcome = "cancelled"
            raise
        finally:
            call = {"started": started, "ended": time.monotonic(), "outcome": outcome, "texts": texts}
            place = {"context": request.prefix[-CONTEXT_CHARACTERS:], "written": written}
            self.write({**place, **self._passes.take(), **call})
        return result

    def reading(self, run: Callable[[], None], request: CompletionRequest) -> None:
        """Log what the model reads ahead."""
        self._passes.take()
        started = time.monotonic()
        try:
            run()
        finally:
            call = {"started": started, "ended": time.monotonic(), "outcome": READING, "texts": [], "written": ""}
            self.write({"context": request.prefix[-CONTEXT_CHARACTERS:], **self._passes.take(), **call})

    def write(self, value: dict[str, Any]) -> None:
        self._log.write(json.dumps(value) + "\n")
        self._log.flush()


class ObservedCompleter(WrappedCompleter):
    """A completer whose calls an `Observer` logs."""

    def __init__(self, completer: CompleterLike, observer: Observer) -> None:
        super().__init__(completer)
        self._observer = observer

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        return self._observer.call(lambda heard: self._completer.complete(request, cancel, heard), request, on_text)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        self._observer.reading(lambda: self._completer.read(request, cancel, rest), request)


def main() -> int:
    """Serve until the client leaves."""
    log, model, device = sys.argv[1:]
    passes = Passes()
    # Every forward pass goes through one of these two methods. The server does not know that they are counted.
    counted = {
        "forward": passes.count(OrtSession.forward),
        "step": passes.count(OrtSession.step, writes=True),
    }
    with Path(log).open("w", encoding="utf-8") as stream, patch.multiple(OrtSession, **counted):
        observer = Observer(stream, Completer.load, passes)
        chosen = next(choice for choice in DEVICES if choice == device)
        return serve(model=Path(model), device=chosen, load=observer.load)


if __name__ == "__main__":
    sys.exit(main())
