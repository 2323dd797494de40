"""How a request waits for a model call: for its end, for a certain part of it, or until its deadline."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import TypeAlias

from engine import Completion, CompletionResult
from lsp_server.scheduling.completion_cache import rest_of
from lsp_server.scheduling.cursor_context import Typed
from lsp_server.scheduling.model_call import ModelCall
from lsp_server.scheduling.requests import Answer, PendingRequest

LEAST_EARLY_CHARACTERS = 3
"""A shorter part of a completion is not worth an answer before the end: it would change at once."""

_Rest: TypeAlias = Callable[[CompletionResult], tuple[Completion, ...]]


async def whole_of(request: PendingRequest, call: ModelCall) -> Answer | None:
    """What a call says to the request that it was made for."""
    result = await _result_of(request, call, lambda result: result.completions)
    return None if result is None else Answer(result.completions, result)


async def rest_of_call(request: PendingRequest, call: ModelCall, typed: Typed) -> Answer | None:
    """What an earlier call says to someone who has typed on; None if it was left or ends here."""
    result = await _result_of(request, call, lambda part: rest_of(part.completions, typed, goes_on=True))
    rest = () if result is None else rest_of(result.completions, typed, goes_on=request.late)
    return Answer(rest, result, handed_on=True) if result is not None and rest else None


async def _result_of(request: PendingRequest, call: ModelCall, rest: _Rest) -> CompletionResult | None:
    """The result of a call, or a certain part of it: see `PendingRequest`. The call goes on in either case.

    ``rest`` tells what of a part is still to be shown.
    """
    assert call.task is not None
    await _wait(min(request.early_s, request.deadline_s), call.task)
    while not call.task.done():
        more = call.next_text()
        part = call.certain_part()
        shown = "" if part is None else "".join(completion.text for completion in rest(part)[:1])
        is_due = time.monotonic() >= request.deadline_s
        if is_due or len(shown.strip()) >= LEAST_EARLY_CHARACTERS:
            request.late = True
            call.answers_early(part if shown else None, request.on_more)
            return part if shown else None
        await _wait(request.deadline_s, call.task, more)
    return await asyncio.shield(call.task)


async def _wait(until_s: float, *what: "asyncio.Future[CompletionResult | None] | asyncio.Future[None]") -> None:
    """Wait for the first of several, at most until then."""
    left_s = None if math.isinf(until_s) else max(0.0, until_s - time.monotonic())
    await asyncio.wait(what, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
