"""A completion request between its arrival and its answer."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from engine import Completion, CompletionResult
from lsp_server.scheduling.cursor_context import CursorContext
from lsp_server.scheduling.model_call import ModelCall, ModelJob, SoFar

RequestKind = Literal["inline", "list"]


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Identifies a request: the document, its version, and the kind of completion."""

    uri: str
    version: int
    kind: RequestKind

    def supersedes(self, older: "RequestKey") -> bool:
        """Whether the older answer is no longer needed.

        An editor may ask for ghost text and for a list at the same place, and wants both.
        """
        return self.uri == older.uri and (self.kind == older.kind or self.version > older.version)


@dataclass(frozen=True, slots=True)
class Answer:
    """The completions of a request, and the result of the call that they come from; ``handed_on`` if that was made for
    an earlier request.
    """

    completions: tuple[Completion, ...]
    result: CompletionResult
    handed_on: bool = False


@dataclass(eq=False, slots=True)
class PendingRequest:
    """A request between its arrival and its answer, and the work for it.

    The model runs ``job`` at ``cursor``, after ``delay_s``, once ``ready`` says that it can; a false result of
    ``ready`` ends the request. A ``shared`` job reports what it writes. The other fields belong to the scheduler.
    """

    key: RequestKey
    cursor: CursorContext
    job: ModelJob
    ready: Callable[[], Awaitable[bool]]
    delay_s: float = 0.0
    shared: bool = True
    early_s: float = math.inf
    """From this time on (`time.monotonic`), it is answered as soon as a part of the answer is certain."""
    deadline_s: float = math.inf
    """At this time it is answered in any case, with what is certain by then. The call continues."""
    so_far: SoFar | None = None
    on_more: Callable[[], None] | None = None
    """Called when the call ends with more than, or something other than, the partial answer."""
    late: bool = False
    """It was answered before the call ended."""
    call: ModelCall | None = None
    task: "asyncio.Future[Answer | None] | None" = None
    superseded: bool = False

    def drop(self) -> None:
        """Answer with nothing, now."""
        self.superseded = True
        if self.task is not None:
            self.task.cancel()
