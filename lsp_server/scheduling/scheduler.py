"""Between a request and the model's thread: the latest request wins, cancellation, and calls that are passed to the
next request.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from engine import Cancelled, CompletionResult
from lsp_server.scheduling.cursor_context import CursorContext, Typed, typed_since
from lsp_server.scheduling.model_call import ModelCall, ModelJob, SoFar
from lsp_server.scheduling.requests import Answer, PendingRequest, RequestKey
from lsp_server.scheduling.waiting import rest_of_call, whole_of
from lsp_server.scheduling.worker import ModelThread

GRACE_S = 0.01
"""Editors send a keystroke and the cancellation of the previous request in either order. So a cancelled call that
has written something continues for this long, in case the keystroke agrees with its text.
"""


@dataclass(slots=True)
class Observers:
    """Called when something happens, on the event loop's thread."""

    on_change: Callable[[], None] = lambda: None
    """The model has become busy or idle."""
    on_result: Callable[[CursorContext, CompletionResult, float], None] = lambda cursor, result, took_ms: None
    """A call has ended, with or without a request that waits for it."""
    on_error: Callable[[Exception], None] = lambda error: None
    """A call failed for which no request waits."""


@dataclass(slots=True)
class Counts:
    """Number of model calls: started, stopped before their end, started for an expected request."""

    calls: int = 0
    stopped: int = 0
    speculative: int = 0
    readings: int = 0


class Scheduler:
    """Runs each request on the model's thread, unless a newer request, a cancellation or the closing of its
    document comes first.
    """

    def __init__(self, thread: ModelThread) -> None:
        self._thread = thread
        self._requests: set[PendingRequest] = set()
        self._calls: set[ModelCall] = set()
        self.observers = Observers()
        self.counts = Counts()

    async def run(self, request: PendingRequest) -> Answer | None:
        """The model's answer; None if the request was superseded, or dropped by `drop_document`.

        `asyncio.CancelledError` from outside and exceptions of the job are passed on.
        """
        self.supersede(request.key)
        typed = self._take_over(request)
        # A waiting request comes before work that may be needed later.
        self._stop(call for call in self._calls if call.waiter is None)
        if self._is_read_on(request.cursor.uri):
            request.delay_s = 0.0
        request.task = asyncio.ensure_future(self._answer(request, typed))
        self._requests.add(request)
        try:
            return await request.task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if request.superseded and not (current and current.cancelling()):
                return None
            raise
        finally:
            self._requests.discard(request)
            if request.call is not None:
                self._leave(request, request.call)
            self._became_idle()

    def answered(self, key: RequestKey) -> None:
        """A request was answered without the model, so running calls for its document are no longer needed."""
        self.supersede(key)
        self._stop(call for call in self._calls if call.waiter is None and call.cursor.uri == key.uri)

    def speculate(self, cursor: CursorContext, job: ModelJob) -> None:
        """Start a call for a request that is expected next, unless the model is busy.

        It is stopped at the first change of its document that does not agree with it, and for any other request.
        """
        if self.idle:
            self._stop(self._calls)
            self.counts.speculative += 1
            self._begin(cursor, job, shared=True)

    def read_ahead(self, cursor: CursorContext, job: ModelJob) -> None:
        """Let the model read the context of an expected request, unless it is busy.

        It gives way to everything, including newer reading.
        """
        if self.idle:
            self._stop(self._calls)
            self.counts.readings += 1
            self._begin(cursor, job, shared=False, background=True)

    def document_changed(self, uri: str, text: str) -> None:
        """A document has a new text. Calls that no request waits for stop, unless the text agrees with them."""
        for call in tuple(self._calls):
            if call.cursor.uri == uri:
                call.document_changed(text)

    def supersede(self, key: RequestKey) -> None:
        """Answer with nothing those requests that the request of ``key`` supersedes."""
        self._drop(request for request in self._requests if key.supersedes(request.key))

    def drop_document(self, uri: str) -> None:
        """The document was closed. Its requests are answered with nothing."""
        self._drop(request for request in self._requests if request.key.uri == uri)
        self._stop(call for call in self._calls if call.cursor.uri == uri)

    def drop_all(self) -> None:
        """Answer all requests with nothing, because the server leaves or is switched off."""
        self._drop(self._requests)
        self._stop(self._calls)

    async def finish(self, timeout_s: float) -> None:
        """Drop everything. Wait until all requests are answered, at most that long."""
        self.drop_all()
        end = time.monotonic() + timeout_s
        while self._requests and time.monotonic() < end:
            await asyncio.sleep(0.001)

    @property
    def idle(self) -> bool:
        """Whether no request waits and the model does nothing, or nothing but read ahead."""
        return not self._requests and all(call.background for call in self._calls)

    async def _answer(self, request: PendingRequest, typed: Typed | None) -> Answer | None:
        if request.call is not None and typed is not None:
            answer = await rest_of_call(request, request.call, typed)
            if answer is not None or request.late:
                return answer
            request.call = None  # stopped, or nothing more for here
        elif request.delay_s > 0:
            await asyncio.sleep(request.delay_s)
        if not await request.ready():
            return None
        request.call = self._begin(request.cursor, request.job, shared=request.shared, so_far=request.so_far)
        request.call.serve(request, "")
        return await whole_of(request, request.call)

    def _take_over(self, request: PendingRequest) -> Typed | None:
        """Let a call without a waiting request serve this one, if it writes the text that was typed since."""
        for call in self._calls:
            if call.waiter or call.stopped or not call.shared:
                continue
            if not request.cursor.asker.is_served_by(call.cursor.asker):
                continue
            typed = typed_since(call.cursor, request.cursor)
            if typed is not None and call.may_serve(typed.text):
                request.call = call
                call.serve(request, typed.text)
                return typed
        return None

    def _begin(
        self,
        cursor: CursorContext,
        job: ModelJob,
        *,
        shared: bool,
        so_far: SoFar | None = None,
        background: bool = False,
    ) -> ModelCall:
        call = ModelCall(cursor, shared, so_far, background)
        call.future = self._thread.submit(lambda: call.run(job))
        call.task = asyncio.ensure_future(self._carry_out(call, call.future))
        call.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # counts as retrieved
        self.counts.calls += not background
        self._calls.add(call)
        if not background and sum(not other.background for other in self._calls) == 1:
            self.observers.on_change()
        return call

    async def _carry_out(self, call: ModelCall, future: "Future[CompletionResult | None]") -> CompletionResult | None:
        try:
            result = await asyncio.wrap_future(future)
        except (Cancelled, asyncio.CancelledError):
            self.counts.stopped += not call.background
            return None
        except Exception as error:
            if call.waiter:
                raise
            self.observers.on_error(error)
            return None
        finally:
            self._calls.discard(call)
            self._became_idle()
        if result is not None:
            result = call.keeping_what_was_shown(result)
            self.observers.on_result(call.cursor, result, call.took_s * 1000)
            call.tell_more(result)
        return result

    def _became_idle(self) -> None:
        if self.idle:
            # Called a little later, when the answer is counted, or the next request is here.
            asyncio.get_running_loop().call_soon(self.observers.on_change)

    def _leave(self, request: PendingRequest, call: ModelCall) -> None:
        """A request was answered or cancelled. Its call may already serve another one."""
        if call.waiter is not request or call.task is None or call.task.done():
            return
        if call.is_followed or request.late:
            call.release()
        elif call.in_document is None or not call.shared or not call.written:
            call.stop()
        else:
            call.waiter = None
            asyncio.get_running_loop().call_later(GRACE_S, _stop_unless_wanted, call)

    def _is_read_on(self, uri: str) -> bool:
        """Whether a call for a document is just stopping while it reads. Then the next call need not wait, because it
        continues reading where this one ends.
        """
        return any(call.is_given_up_while_reading and call.cursor.uri == uri for call in self._calls)

    def _drop(self, requests: Iterable[PendingRequest]) -> None:
        for request in tuple(requests):
            if request.call is not None:
                request.call.waiter = None  # now, so that the next request can take it over
            request.drop()

    def _stop(self, calls: Iterable[ModelCall]) -> None:
        for call in tuple(calls):
            call.stop()


def _stop_unless_wanted(call: ModelCall) -> None:
    if call.waiter is None and not call.is_followed:
        call.stop()
