"""``midtoken serve`` that can be asked how many objects it holds.

    python -m benchmarks.keystrokes.counted_server LOG [parrot]

With ``parrot`` its completer needs no model. The server is the real one. If the text before the cursor ends in `MARK`,
the completer writes the number of live objects of each type to LOG, as one JSON line, instead of completing. A line
that is null says that a model was loaded.
"""

import gc
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from benchmarks.keystrokes.wrapping import WrappedCompleter
from engine import (
    CancellationToken,
    Completer,
    Completion,
    CompletionRequest,
    CompletionResult,
    DeviceChoice,
    HealingReport,
    ModelInfo,
    Timing,
)
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.scheduling.model import Loader
from lsp_server.scheduling.model_call import OnText
from lsp_server.server import serve

MARK = "# how many objects are there?"


class Parrot:
    """Completes a word with the last word in the text with the same beginning, and takes about as long as a small
    model.
    """

    STEPS, STEP_S = 3, 0.0005
    notices: tuple[str, ...] = ()
    info = ModelInfo("parrot", "parrot", "cpu", "none", "none", 0, 0, "none", ())

    @classmethod
    def load(
        cls, model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
    ) -> "Parrot":
        """There is nothing to load."""
        return cls()

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        for _ in range(self.STEPS):
            if cancel is not None:
                cancel.raise_if_cancelled()
            time.sleep(self.STEP_S)
        words = re.findall(r"\w+", request.prefix[-4000:])
        begun = words[-1] if words and request.prefix.endswith(words[-1]) else ""
        longer = [
            word[len(begun) :] for word in dict.fromkeys(reversed(words)) if word.startswith(begun) and word != begun
        ]
        report = HealingReport(request.healing.mode, "", 0, 0, 0.0)
        found = tuple(Completion(text, -0.1, 1, "line", report) for text in longer[: request.max_completions])
        return CompletionResult(found, Timing(), 1, 0)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """Does nothing."""

    def keep_places(self, limit_bytes: int) -> None:
        """Does nothing."""


class Counted(WrappedCompleter):
    """A completer that counts objects when it is asked to."""

    def __init__(self, completer: CompleterLike, log: TextIO) -> None:
        super().__init__(completer)
        self._log = log

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        if not request.prefix.endswith(MARK):
            return self._completer.complete(request, cancel, on_text)
        gc.collect()
        counts = Counter(type(thing).__name__ for thing in gc.get_objects())
        self._log.write(json.dumps(counts) + "\n")
        self._log.flush()
        return CompletionResult((), Timing(), 0, 0)


def counting(load: Loader, log: TextIO) -> Loader:
    """A loader whose completers count."""

    def loaded(model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None) -> Counted:
        completer = Counted(load(model_dir, device=device, threads=threads), log)
        log.write("null\n")
        log.flush()
        return completer

    return loaded


def main() -> int:
    """Serve until the client leaves."""
    log, *kind = sys.argv[1:]
    load: Any = Parrot.load if kind == ["parrot"] else Completer.load
    with Path(log).open("w", encoding="utf-8") as stream:
        return serve(load=counting(load, stream))


if __name__ == "__main__":
    sys.exit(main())
