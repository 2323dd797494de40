"""A running model call: what it was asked, what it has written, and whether a request can still use it.

A call outlives the request that it was made for as long as what it writes is what is being typed: then the next request
takes it over, or finds its answer in the cache. Otherwise it stops at its next step. So does one that has written
nothing when something is typed: a new call finds what it has read of the prompt in the model's cache, and knows more.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from engine import CancellationToken, CompletionResult
from lsp_server.scheduling.cursor_context import CursorContext, agree, typed_into

OnText: TypeAlias = Callable[[str], None]
ModelJob: TypeAlias = Callable[[CancellationToken, OnText], CompletionResult | None]
"""Runs the model on its thread. Takes a token to stop it, and reports the best completion so far."""


SoFar: TypeAlias = Callable[[str], CompletionResult | None]
"""What can be shown of a completion that is written so far, once the job has begun; None if that is nothing."""


@dataclass(eq=False, slots=True)
class ModelCall:
    """One model call. Its fields change on the event loop's thread, except ``written``, which the model's thread sets.

    ``typed`` is what was typed since, up to the request that the call is for: nothing for the one that it was made for.
    What is written must agree with it. ``in_document`` is what the document has in its place now, None if that is
    another text.
    """

    cursor: CursorContext
    shared: bool
    """Whether a later request may take it over: it reports what it writes."""
    so_far: "SoFar | None" = None
    """What of an answer is certain before its end; None if nothing is shown before."""
    background: bool = False
    """It is for nobody yet, and gives way to everything."""
    token: CancellationToken = field(default_factory=CancellationToken)
    written: str = ""
    typed: str = ""
    in_document: str | None = ""
    waiter: object | None = None
    """The request that waits for it; None if nobody does."""
    started: float = 0.0
    """When the model began, in seconds of `time.monotonic`; 0 before."""
    future: "Future[CompletionResult | None] | None" = None
    task: "asyncio.Task[CompletionResult | None] | None" = None
    _next_text: "asyncio.Future[None] | None" = None
    _shown_early: CompletionResult | None = None
    _answered_early_s: float | None = None
    _on_more: Callable[[], None] | None = None

    def heard(self, written: str) -> None:
        """On the model's thread: that much is written. Stops the call if it is not what is being typed."""
        self.written = written
        if (waiting := self._next_text) is not None:
            with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                waiting.get_loop().call_soon_threadsafe(_finish, waiting)
        # `release` too sets its field before it looks at the other, so that one of the two sees a disagreement; a
        # request that takes the call over looks at the result too.
        if not agree(written, self.typed):
            self.token.cancel()

    def run(self, job: ModelJob) -> CompletionResult | None:
        """On the model's thread: do the job."""
        self.started = time.monotonic()
        return job(self.token, self.heard)

    def next_text(self) -> "asyncio.Future[None]":
        """Done when more is written than now."""
        self._next_text = asyncio.get_running_loop().create_future()
        return self._next_text

    def answers_early(self, part: CompletionResult | None, on_more: Callable[[], None] | None) -> None:
        """A request was answered with a part of the result; ``on_more`` is called where the result says more."""
        self._shown_early, self._on_more = part, on_more
        if part is not None and self._answered_early_s is None:
            self._answered_early_s = time.monotonic()

    def tell_more(self, result: CompletionResult) -> None:
        """It came to its end: call the ``on_more`` of the last early answer, if nobody has asked since."""
        if self._on_more is not None and self.waiter is None and _best_text(self._shown_early) != _best_text(result):
            self._on_more()

    @property
    def took_s(self) -> float:
        """From its start to its first answer, or to now."""
        return (self._answered_early_s or time.monotonic()) - self.started

    def serve(self, waiter: object, typed: str) -> None:
        """A request waits for it at a place where ``typed`` was typed since."""
        self.waiter, self.typed, self._on_more = waiter, typed, None

    def release(self) -> None:
        """Nobody waits for it any more. It goes on while the document follows it."""
        self.waiter = None
        # Before it is looked at what is written: see `heard`.
        self.typed = self.in_document or ""
        if self.in_document is None or not self.shared or not self.may_serve(self.in_document):
            self.stop()

    def document_changed(self, text: str) -> None:
        """Its document has a new text, which is that of a keystroke or of anything else."""
        self.in_document = typed_into(self.cursor, text)
        if self.waiter is None:
            self.release()

    def may_serve(self, typed: str) -> bool:
        """Whether this call is still of more use than a new one after that much was typed."""
        return not typed or (bool(self.written) and agree(self.written, typed))

    @property
    def is_followed(self) -> bool:
        """Whether something was typed since that is, as far as it is known, what the call writes."""
        return bool(self.in_document)

    @property
    def is_given_up_while_reading(self) -> bool:
        """Whether it began, and is about to stop before it wrote anything."""
        return self.stopped and bool(self.started) and not self.written

    @property
    def stopped(self) -> bool:
        return self.token.cancelled

    def stop(self) -> None:
        """Let the model stop at its next step; in the queue, it does not begin."""
        self.token.cancel()
        if self.future is not None:
            self.future.cancel()


def _best_text(result: CompletionResult | None) -> str:
    return "" if result is None else "".join(completion.text for completion in result.completions[:1])


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
