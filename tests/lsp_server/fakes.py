"""A completer without a model. The line that it must complete tells it what to do."""

import os
import threading
import time
from pathlib import Path

from engine import (
    CancellationToken,
    Completion,
    CompletionRequest,
    CompletionResult,
    DeviceChoice,
    DraftCounts,
    HealingReport,
    ModelInfo,
    RequestError,
    Timing,
)
from lsp_server.scheduling.model_call import OnText

SLOW_S = 5.0
STUCK_S = 60.0
STEP_S = 0.005


INFO = ModelInfo("/models/fake", "fake", "cpu", "CPUExecutionProvider", "int4", 8192, 2048, "sorted-array", ("psm",))


class FakeCompleter:
    """Answers ``texts``, best first, unless the cursor's line holds one of the words below.

    ``!slow`` waits until it is cancelled, ``!step`` waits 50 ms, ``!stuck`` ignores cancellation, ``!count`` answers
    how often it was asked, ``!error`` and ``!crash`` raise, ``!print`` writes to standard output, ``!lines`` answers
    two lines, ``!nothing`` nothing.
    """

    def __init__(self, texts: tuple[str, ...] = ("one", "two", "three"), notices: tuple[str, ...] = ()) -> None:
        self.texts = texts
        self.notices = notices
        self.requests: list[CompletionRequest] = []
        self.read_requests: list[CompletionRequest] = []
        self.places_bytes: int | None = None
        self.cancelled = 0
        self.started = threading.Event()

    @property
    def info(self) -> ModelInfo:
        return INFO

    def load(
        self, model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
    ) -> "FakeCompleter":
        return self

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: OnText | None = None,
    ) -> CompletionResult:
        self.requests.append(request)
        self.started.set()
        return result_of(*self.write(request, cancel, on_text))

    def write(
        self, request: CompletionRequest, cancel: CancellationToken | None, on_text: OnText | None
    ) -> tuple[str, ...]:
        """The texts of the answer."""
        line = request.prefix.rsplit("\n", 1)[-1]
        if "!slow" in line or "!step" in line:
            self._wait(cancel, SLOW_S if "!slow" in line else 0.05)
        if "!stuck" in line:
            time.sleep(STUCK_S)
        if "!error" in line:
            raise RequestError("top_p is 7; it must be at most 1")
        if "!crash" in line:
            raise RuntimeError(f"cannot complete {line}")
        if "!print" in line:
            print("printed by Python", flush=True)  # noqa: T201 - what must not reach the client
            os.write(1, b"printed by a library\n")
        texts = self.texts
        if "!count" in line:
            texts = (f"#{len(self.requests)}",)
        elif "!lines" in line:
            texts = ("if x:\n    y()",)
        elif "!nothing" in line:
            texts = ()
        return texts[: request.max_completions]

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        self.read_requests.append(request)
        if "!slow" in request.prefix:
            self._wait(cancel, SLOW_S)

    def keep_places(self, limit_bytes: int) -> None:
        self.places_bytes = limit_bytes

    def _wait(self, cancel: CancellationToken | None, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if cancel is not None and cancel.cancelled:
                self.cancelled += 1
                cancel.raise_if_cancelled()
            time.sleep(STEP_S)


def result_of(*texts: str) -> CompletionResult:
    return CompletionResult(
        tuple(completion_of(text) for text in texts), Timing(), 7, 3, drafts=DraftCounts(5, 4, 3, 1)
    )


def completion_of(text: str) -> Completion:
    return Completion(text, -0.1, 2, "line", HealingReport("k-step", "", 0, 0, 0.0))
