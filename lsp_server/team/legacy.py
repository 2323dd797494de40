"""OpenAI's legacy ``/v1/completions`` with ``prompt`` and ``suffix``. It gives token healing to other editors' plugins.

Members that this service does not support (``logit_bias``, ``best_of``) are ignored, as other such servers do.
"""

import time
import uuid
from dataclasses import replace
from typing import Any

from engine import CompletionRequest, CompletionResult, RequestError, SamplingParams, StopParams
from lsp_server.team.fields import Fields
from lsp_server.team.protocol import LONGEST_NAME, Bounds, TeamRequest


def read_legacy(body: object, bounds: Bounds) -> TeamRequest:
    """Read the request from a body. The completion ends with the line if ``stop`` has a text that begins with a line
    break, else with the block.

    Raises `RequestError`, in one line.
    """
    fields = Fields(body, "the request")
    prompt = fields.member("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise RequestError("the request: prompt must be one text; lists of texts or of tokens are not taken")
    stop = fields.member("stop")
    stops = (stop,) if isinstance(stop, str) else fields.texts("stop", 16)
    temperature = fields.number("temperature", 0.0, 0.0, 100.0)
    sampling = SamplingParams()
    if temperature > 0:
        sampling = SamplingParams(
            strategy="sample",
            temperature=temperature,
            top_p=fields.number("top_p", 1.0),
            seed=fields.whole("seed") if fields.has("seed") else None,
        )
    request = CompletionRequest(
        prefix=Fields({"prompt": prompt}, "the request").text("prompt"),
        suffix=fields.text("suffix", ""),
        max_completions=fields.whole("n", 1, 1, bounds.candidates),
        budget_ms=bounds.budget_ms,
        sampling=sampling,
        stop=StopParams(
            max_new_tokens=fields.whole("max_tokens", min(64, bounds.max_new_tokens), 1, bounds.max_new_tokens),
            lines="single" if any(text.startswith("\n") for text in stops) else "multi",
            stop_strings=tuple(text for text in stops if text and not text.startswith("\n")),
        ),
    )
    return TeamRequest(request, fields.text("model", "", LONGEST_NAME), fields.truth("stream", False))


def new_head(model: str) -> dict[str, Any]:
    """The members that the answer and every chunk of it begin with."""
    return {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()), "model": model}


def legacy_json(head: dict[str, Any], result: CompletionResult) -> dict[str, Any]:
    """The whole answer."""
    written = sum(completion.tokens for completion in result.completions)
    choices = [_choice(index, c.text, _reason(c.stop)) for index, c in enumerate(result.completions)]
    usage = {
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": result.prompt_tokens + written,
    }
    return {**head, "choices": choices or [_choice(0, "", "stop")], "usage": usage}


def chunk(head: dict[str, Any], text: str, stop: str | None = None) -> dict[str, Any]:
    """One event of a streamed answer. The last event has a ``stop``."""
    return {**head, "choices": [_choice(0, text, None if stop is None else _reason(stop))]}


def decided(written: str, asked: TeamRequest) -> str:
    """The part of the text written so far that no later token can take back.

    The engine cuts a completion where it repeats the suffix, at a stop string, and before a line that ends the block.
    """
    if asked.request.stop.lines == "multi":
        written = written[: written.rfind("\n") + 1]
    ends = [asked.request.suffix, *asked.request.stop.stop_strings]
    overlap = max((_overlap(written, end) for end in ends), default=0)
    return written[: len(written) - overlap]


def alone(asked: TeamRequest) -> TeamRequest:
    """Limit a streamed answer to one candidate."""
    return replace(asked, request=replace(asked.request, max_completions=1)) if asked.stream else asked


def _overlap(text: str, other: str) -> int:
    """Length of the longest end of ``text`` that is a beginning of ``other``."""
    most = min(len(text), len(other))
    return next((length for length in range(most, 0, -1) if text.endswith(other[:length])), 0)


def _choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _reason(stop: str) -> str:
    return "length" if stop in ("length", "context", "budget") else "stop"
