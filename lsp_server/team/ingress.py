"""The HTTP side of the service, an ASGI application. It checks tokens, reads requests and writes answers; it has no
model.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from engine import CompletionRequest, MidtokenError, RequestError
from lsp_server.logs import describe
from lsp_server.team import legacy
from lsp_server.team.answers import result_from
from lsp_server.team.config import TeamConfig
from lsp_server.team.events import Event, framed
from lsp_server.team.fields import Fields
from lsp_server.team.metrics import Metrics
from lsp_server.team.protocol import (
    ACCEPTED,
    COMPLETE,
    HEALTH,
    LEGACY,
    METRICS,
    MODELS,
    SESSION_HEADER,
    VERSION,
    ErrorCode,
    Refusal,
    TeamRequest,
    read_request,
)
from lsp_server.team.tokens import Bearer, Tokens

log = logging.getLogger(__name__)

LONGEST_SESSION = 128
MOST_COUNTED = 10_000
_CODES: Mapping[int, ErrorCode] = {400: "bad-request", 404: "not-found", 405: "method"}


class Backend(Protocol):
    """Access to the models: in this process, or through handles of Serve."""

    def complete(self, model: str, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """The events of `Replica.complete`, from a replica of the model. Raises `Refusal`."""

    async def describe(self, model: str) -> Mapping[str, Any] | None:
        """What a replica of the model runs; None if no replica answers."""


class Service:
    """The handlers of one ingress."""

    def __init__(self, config: TeamConfig, backend: Backend, tokens: Tokens, metrics: Metrics) -> None:
        self.config, self.backend, self.tokens, self.metrics = config, backend, tokens, metrics
        self._names = tuple(model.name for model in config.models)

    async def complete(self, request: Request) -> Response:
        """``POST /v1/complete``."""
        bearer = self.tokens.bearer(request.headers.get("authorization"))
        asked = read_request(await self._body(request), self.config.limits.bounds)
        model, session = self._model(bearer, asked.model), self._session(request)
        events = self._events(bearer, model, asked, session)
        if not asked.stream:
            return JSONResponse(await _while_there(request, _answer_of(events)))
        return await _streamed(events)

    async def legacy(self, request: Request) -> Response:
        """``POST /v1/completions``."""
        bearer = self.tokens.bearer(request.headers.get("authorization"))
        asked = legacy.alone(legacy.read_legacy(await self._body(request), self.config.limits.bounds))
        # Plugins send the name of the model that they were set up with. An unknown name means the first model.
        model = self._model(bearer, asked.model if asked.model in self._names else "")
        head = legacy.new_head(model)
        events = self._events(bearer, model, asked, self._session(request))
        if not asked.stream:
            answer = await _while_there(request, _answer_of(events))
            return JSONResponse(legacy.legacy_json(head, result_from(answer)))
        return await _streamed(_legacy_events(events, head, asked), end=b"data: [DONE]\n\n")

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: the models that the token may use."""
        bearer = self.tokens.bearer(request.headers.get("authorization"))
        names = [name for name in self._names if bearer.may_use(name)]
        found = await asyncio.gather(*(self.backend.describe(name) for name in names))
        data = [
            {"id": name, "object": "model", "owned_by": "midtoken", "ready": what is not None, **(what or {})}
            for name, what in zip(names, found, strict=True)
        ]
        return JSONResponse({"object": "list", "version": VERSION, "data": data})

    async def accepted(self, request: Request) -> Response:
        """``POST /v1/accepted``: how many completions an editor showed and how many were accepted. Counts only."""
        bearer = self.tokens.bearer(request.headers.get("authorization"))
        fields = Fields(await self._body(request), "the request", ("model", "shown", "accepted"))
        model = self._model(bearer, fields.text("model", "", 200))
        shown, accepted = (fields.whole(name, 0, 0, MOST_COUNTED) for name in ("shown", "accepted"))
        self.metrics.shown.labels(model).inc(shown)
        self.metrics.accepted.labels(model).inc(accepted)
        return JSONResponse({})

    async def health(self, request: Request) -> Response:
        """``GET /healthz``: whether each model has a replica. It needs no token, so it tells no names."""
        found = await asyncio.gather(*(self.backend.describe(name) for name in self._names))
        ready = sum(what is not None for what in found)
        good = ready == len(found)
        body = {"status": "ok" if good else "degraded", "version": VERSION, "models": len(found), "ready": ready}
        return JSONResponse(body, 200 if good else 503)

    async def figures(self, request: Request) -> Response:
        """``GET /metrics``."""
        self.tokens.bearer(request.headers.get("authorization"))
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def refused(self, error: Refusal) -> Response:
        """The response to a request that is refused."""
        self.metrics.refusals.labels(error.code).inc()
        headers: dict[str, str] = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        if error.code == "unauthorised":
            headers["WWW-Authenticate"] = "Bearer"
        if error.code in ("too-large", "timeout"):
            headers["Connection"] = "close"
        return JSONResponse(error.to_json(), error.status, headers)

    async def _events(
        self, bearer: Bearer, model: str, asked: TeamRequest, session: str
    ) -> AsyncGenerator[Event, None]:
        """The events of an answer, counted for the metrics. Closing the iterator tells the replica that the client has
        left.
        """
        metrics, started, outcome, has_text = self.metrics, time.perf_counter(), "left", False
        with self.tokens.admitted(bearer), metrics.ongoing.labels(model).track_inprogress():
            try:
                async with aclosing(self.backend.complete(model, asked.request, session)) as events:
                    async for event in events:
                        seconds = time.perf_counter() - started
                        if event.name == "begun":
                            metrics.batch.labels(model).observe(event.data["ongoing"])
                        if event.name == "text" and not has_text:
                            has_text = True
                            metrics.first_text.labels(model).observe(seconds)
                        if event.name == "answer":
                            outcome = ""
                            metrics.answered(model, event.data, seconds)
                        yield event
            except Refusal as error:
                outcome = error.code
                raise
            except Exception:
                outcome = "internal"
                raise
            finally:
                if outcome:
                    metrics.requests.labels(model, outcome).inc()

    def _model(self, bearer: Bearer, name: str) -> str:
        name = name or next((known for known in self._names if bearer.may_use(known)), self._names[0])
        if name not in self._names or not bearer.may_use(name):
            raise Refusal("forbidden", "there is no such model for this token; GET /v1/models lists those there are")
        return name

    def _session(self, request: Request) -> str:
        session = request.headers.get(SESSION_HEADER, "")
        if len(session) > LONGEST_SESSION or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in session):
            raise Refusal("bad-request", f"{SESSION_HEADER} must be up to {LONGEST_SESSION} letters, digits and - _ .")
        return session

    async def _body(self, request: Request) -> object:
        """The JSON value of a body. It must arrive in time. A body that is too long is refused before it is read."""
        limits = self.config.limits
        if int_or(request.headers.get("content-length"), 0) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        data = bytearray()
        try:
            async with asyncio.timeout(limits.body_s):
                async for part in request.stream():
                    data += part
                    if len(data) > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
        except TimeoutError:
            raise Refusal("timeout", f"the body did not arrive within {limits.body_s:g} s; send it at once") from None
        try:
            return json.loads(data.decode())
        except (ValueError, RecursionError):
            raise Refusal("bad-request", "the body is no JSON in UTF-8") from None


def create_app(service: Service) -> FastAPI:
    """Create the application. It has no documentation pages, because those load scripts from other hosts."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for path, handler, method in (
        (COMPLETE, service.complete, "POST"),
        (LEGACY, service.legacy, "POST"),
        (ACCEPTED, service.accepted, "POST"),
        (MODELS, service.models, "GET"),
        (HEALTH, service.health, "GET"),
        (METRICS, service.figures, "GET"),
    ):
        app.router.add_route(path, handler, methods=[method])

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return service.refused(error)

    async def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, MidtokenError)
        code: ErrorCode = "bad-request" if isinstance(error, RequestError) else "model"
        return service.refused(Refusal(code, str(error)))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return service.refused(
            Refusal(_CODES.get(error.status_code, "bad-request"), "there is nothing at this address")
        )

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(MidtokenError, wrong)
    app.add_exception_handler(HTTPException, http)
    return app


def int_or(text: str | None, default: int) -> int:
    """The whole number that a header holds, or the default."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


async def _answer_of(events: AsyncGenerator[Event, None]) -> dict[str, Any]:
    async with aclosing(events) as stream:
        async for event in stream:
            if event.name == "answer":
                answer: dict[str, Any] = event.data
                return answer
    raise Refusal("internal", "the replica ended without an answer; ask again")


async def _while_there(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Return the result of ``work``, but stop if the client leaves before. A stream stops by itself then; a plain
    answer needs this.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # after the body: the client left
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refusal("timeout", "the client left")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def _streamed(events: AsyncGenerator[Event, None], end: bytes = b"") -> Response:
    """The events as a response. An error before the first one becomes a status code, a later one an ``error`` event."""
    first = await anext(events)

    async def body() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            try:
                yield framed(first)
                async for event in events:
                    yield framed(event)
                if end:
                    yield end
            except Refusal as error:
                yield framed(Event("error", error.to_json()["error"]))
            except Exception as error:
                log.error("a stream failed: %s", describe(error))
                yield framed(Event("error", {"code": "internal", "message": "the replica failed; ask again"}))

    return StreamingResponse(body(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _legacy_events(
    events: AsyncGenerator[Event, None], head: dict[str, Any], asked: TeamRequest
) -> AsyncGenerator[Event, None]:
    """Chunks of final text, which no later chunk takes back, and at last the reason why the text ends."""
    written = sent = ""
    async with aclosing(events) as stream:
        async for event in stream:
            if event.name == "text":
                written += event.data["written"]
                ready = legacy.decided(written, asked)
                if len(ready) > len(sent):
                    yield Event("", legacy.chunk(head, ready[len(sent) :]))
                    sent = ready
            elif event.name == "answer":
                best = next(iter(result_from(event.data).completions), None)
                rest = best.text[len(sent) :] if best is not None and best.text.startswith(sent) else ""
                yield Event("", legacy.chunk(head, rest, "end" if best is None else best.stop))


def _too_large(most: int) -> Refusal:
    return Refusal("too-large", f"the body has more than {most} bytes; send less of the text around the cursor")
