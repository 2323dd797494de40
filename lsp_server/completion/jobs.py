"""What the model's thread does for a request, and what it reads while there is no request."""

import os
import time
from dataclasses import dataclass, replace

from engine import CancellationToken, CompletionRequest, CompletionResult
from lsp_server.completion.prompt import Code, Place, build_request, code_at
from lsp_server.completion.shown import begun, fitted
from lsp_server.context.cross_file import Extra, imports_of
from lsp_server.documents.documents import Document
from lsp_server.documents.notebooks import Neighbours
from lsp_server.effort import Share, share_of
from lsp_server.language_server import MidtokenServer
from lsp_server.scheduling.cursor_context import Asker, CursorContext, cursor_context
from lsp_server.scheduling.model_call import ModelJob, OnText
from lsp_server.scheduling.requests import RequestKind
from lsp_server.settings import Settings

GOES_ON = 2.0
"""A late call continues for up to this many times the budget, because the next request can take over its text."""


@dataclass(frozen=True, slots=True)
class EditorRequest:
    """What a client wants completed: a place in one version of a document, and how many candidates at most."""

    kind: RequestKind
    document: Document
    place: Place
    candidates: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an answer is due. It counts from the arrival of the request."""

    arrived: float
    budget_ms: float

    @property
    def at_s(self) -> float:
        """On the clock of `time.monotonic`."""
        return self.arrived + self.budget_ms / 1000

    @property
    def took_ms(self) -> float:
        return (time.monotonic() - self.arrived) * 1000

    @property
    def left_ms(self) -> float:
        return self.budget_ms - self.took_ms


def cursor_of(server: MidtokenServer, request: EditorRequest) -> CursorContext:
    """The place of a request, and the kind of request."""
    asker = Asker(server.state.settings, server.state.model.serial, request.candidates, request.automatic)
    document, place = request.document, request.place
    before, after = document.text[: place.start] + place.typed, document.text[place.end :]
    return cursor_context(document.uri, asker, before, after)


class CompletionJob:
    """Completes one request on the model's thread; None if time runs out before there is any text.

    With ``goes_on`` the model keeps writing after the budget. `so_far` gives the part that is certain by then.
    """

    def __init__(
        self,
        server: MidtokenServer,
        request: EditorRequest,
        around: Neighbours,
        deadline: Deadline,
        *,
        goes_on: bool = False,
    ) -> None:
        self._server = server
        self._settings = server.state.settings
        self._share = share_now(server)
        self._request = request
        self._around = around
        self._deadline = deadline
        self._more_ms = GOES_ON * deadline.budget_ms if goes_on else 0.0
        self._code: Code | None = None

    def __call__(self, token: CancellationToken, on_text: OnText) -> CompletionResult | None:
        """On the model's thread."""
        model, settings, left_ms = self._server.state.model, self._settings, self._deadline.left_ms
        if left_ms <= 0:
            return None
        code, asked = _asked(self._server, settings, self._request, self._around, token)
        self._code = code
        reading_ms = min(self._share.reading_ms, left_ms / 2) if settings.read_ahead else None
        token.raise_if_cancelled()
        model.keep_places(settings.cache_mb << 20)
        result = model.complete(
            replace(
                asked,
                budget_ms=left_ms + self._more_ms,
                reading_ms=reading_ms,
                context_tokens=self._share.context_tokens,
            ),
            token,
            on_text,
        )
        in_time = self._deadline.left_ms + self._more_ms > 0
        return self._fitted(result, code) if result and (result.completions or in_time) else None

    def so_far(self, written: str) -> CompletionResult | None:
        """See `begun`."""
        settings, code = self._settings, self._code
        if code is None:
            return None
        return begun(written, code, settings.healing, several_lines=settings.multi_line is True)

    def _fitted(self, result: CompletionResult, code: Code) -> CompletionResult:
        return fitted(result, code, several_lines=self._settings.multi_line is True)


def reading_job(server: MidtokenServer, request: EditorRequest, around: Neighbours) -> ModelJob:
    """Reads all context that a request at this place would need."""
    settings, share = server.state.settings, share_now(server)

    def job(token: CancellationToken, on_text: OnText) -> None:
        _, asked = _asked(server, settings, request, around, token)
        server.state.model.keep_places(settings.cache_mb << 20)
        server.state.model.read(replace(asked, context_tokens=share.context_tokens), token, share.rest)

    return job


def share_now(server: MidtokenServer) -> Share:
    """How much of the machine may be used now."""
    settings, info = server.state.settings, server.state.model.info
    threads = settings.threads or os.cpu_count() or 1
    return share_of(settings.effort, server.state.machine.is_scarce, threads, info.tokens_per_s if info else 0.0)


def _asked(
    server: MidtokenServer, settings: Settings, request: EditorRequest, around: Neighbours, token: CancellationToken
) -> tuple[Code, CompletionRequest]:
    """The code at a request's place, and the engine's request for it, without a budget."""
    code = code_at(request.document, request.place, around, token.raise_if_cancelled)
    code = replace(code, elsewhere=server.state.symbols.names(around.others))
    extra = Extra(imports=imports_of(request.document, request.place.end))
    if settings.cross_file_context:
        extra = server.state.context.find(request.document, request.place.end, around.others)
    asked = build_request(
        request.document, code, settings, extra, candidates=request.candidates, automatic=request.automatic
    )
    return code, asked
