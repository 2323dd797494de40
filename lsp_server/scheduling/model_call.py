"""A running model call: its request, what it has written, and whether another request can still use it.

A call outlives its request as long as the user types the text that it writes. Then the next request takes it over, or
finds its answer in the cache. Otherwise it stops at its next step. A call that has written nothing when something is
typed stops too: a new call finds the prompt tokens that it has read in the model's cache, and knows more text.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from engine import CancellationToken, CompletionResult
from lsp_server.scheduling.cursor_context import CursorContext, agree, typed_into

OnText: TypeAlias = Callable[[str], None]
ModelJob: TypeAlias = Callable[[CancellationToken, OnText], CompletionResult | None]
"""Runs the model on its thread. Takes a token to stop it, and reports the best completion so far."""


SoFar: TypeAlias = Callable[[str], CompletionResult | None]
"""What can be shown of an unfinished completion, once the job has begun; None if that is nothing."""


@dataclass(eq=False, slots=True)
class ModelCall:
    """One model call. Its fields change on the event loop's thread, except ``written``, which the model's thread sets.

    ``typed`` is what was typed between the start of the call and the request that it serves now; it is empty for the
    original request. The written text must agree with it. ``in_document`` is what the document now has in place of the
    completion, None if it has changed otherwise.
    """

    cursor: CursorContext
    shared: bool
    """Whether a later request may take it over. It then reports what it writes."""
    so_far: "SoFar | None" = None
    """Returns the certain part of an unfinished answer; None if nothing is shown before the end."""
    background: bool = False
    """No request needs it yet, so it gives way to everything."""
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
        """On the model's thread: ``written`` is the text so far. Stops the call if the user types something else."""
        self.written = written
        if (waiting := self._next_text) is not None:
            with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                waiting.get_loop().call_soon_threadsafe(_finish, waiting)
        # `release` also sets its own field before it reads the other, so at least one of the two sees a disagreement. A
        # request that takes the call over checks the result again.
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
        self._on_more = on_more
        if part is not None:
            self._shown_early = part
            self._answered_early_s = self._answered_early_s or time.monotonic()

    def certain_part(self) -> CompletionResult | None:
        """What can be shown of what is written so far; None if that is nothing. It begins with what was shown before.

        On the event loop's thread.
        """
        part = self.so_far(self.written) if self.so_far is not None and self.written else None
        return self._shown_early if part is None else self.keeping_what_was_shown(part)

    def keeping_what_was_shown(self, result: CompletionResult) -> CompletionResult:
        """The result, or the last early answer in its place if the result does not begin with that.

        The filters judge a text by what comes later too (a line that repeats the next one, a word that breaks the
        grammar), so that no beginning is safe from all of them. But nobody wants a text taken back while reading it.
        """
        shown = self._shown_early
        if shown is None or _best_text(result).startswith(_best_text(shown)):
            return result
        return replace(result, completions=tuple(replace(only, stop="cut") for only in shown.completions[:1]))

    def tell_more(self, result: CompletionResult) -> None:
        """It came to its end: call the ``on_more`` of the last early answer, if nobody has asked since."""
        if self._on_more is not None and self.waiter is None and _best_text(result) != _best_text(self._shown_early):
            self._on_more()

    @property
    def took_s(self) -> float:
        """From its start to its first answer, or to now."""
        return (self._answered_early_s or time.monotonic()) - self.started

    def serve(self, waiter: object, typed: str) -> None:
        """From now on the call serves ``waiter``. ``typed`` was typed since the call started."""
        self.waiter, self.typed, self._on_more = waiter, typed, None

    def release(self) -> None:
        """No request waits for it any longer. It continues while the document agrees with it."""
        self.waiter = None
        # Set before reading what is written: see `heard`.
        self.typed = self.in_document or ""
        if self.in_document is None or not self.shared or not self.may_serve(self.in_document):
            self.stop()

    def document_changed(self, text: str) -> None:
        """Its document has a new text, after a keystroke or any other change."""
        self.in_document = typed_into(self.cursor, text)
        if self.waiter is None:
            self.release()

    def may_serve(self, typed: str) -> bool:
        """Whether this call is still more useful than a new one, after ``typed`` was typed."""
        return not typed or (bool(self.written) and agree(self.written, typed))

    @property
    def is_followed(self) -> bool:
        """Whether something was typed since that agrees with what the call has written so far."""
        return bool(self.in_document)

    @property
    def is_given_up_while_reading(self) -> bool:
        """Whether it has begun, and is stopping before it has written anything."""
        return self.stopped and bool(self.started) and not self.written

    @property
    def stopped(self) -> bool:
        return self.token.cancelled

    def stop(self) -> None:
        """Stop the model at its next step. If the call is still in the queue, it does not begin."""
        self.token.cancel()
        if self.future is not None:
            self.future.cancel()


def _best_text(result: CompletionResult | None) -> str:
    return "" if result is None else "".join(completion.text for completion in result.completions[:1])


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
