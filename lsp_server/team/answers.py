"""A `CompletionResult` as JSON, and back. ``complete --json`` and the team's service both write it."""

import math
from dataclasses import asdict
from typing import Any, get_args

from engine import Completion, CompletionResult, HealingReport, ModelInfo, StopReason, Timing
from lsp_server.team.fields import Fields


def as_json(result: CompletionResult, info: ModelInfo, load_ms: float = 0.0) -> dict[str, Any]:
    """The object that ``--json`` prints. Other people's scripts rely on its names.

    JSON has no infinity, so the surprise of text with probability zero is null.
    """
    timing = result.timing
    return {
        "completions": [_completion_json(completion) for completion in result.completions],
        "timing_ms": {
            "load": load_ms,
            "tokenize": timing.tokenize_ms,
            "heal": timing.heal_ms,
            "prefill": timing.prefill_ms,
            "decode": timing.decode_ms,
            "total": load_ms + timing.total_ms,
        },
        "drafts": asdict(result.drafts),
        "model": {
            "path": info.path,
            "device": info.device,
            "precision": info.precision,
            "vocabulary": info.vocabulary,
        },
    }


def answer_json(result: CompletionResult, info: ModelInfo, model: str) -> dict[str, Any]:
    """The answer of the team's service: `as_json` without the folder's path, and with what the client needs to go on.

    ``model`` is the model's name in the service.
    """
    answer = as_json(result, info)
    answer["model"] = {**answer["model"], "path": model, "name": info.name}
    answer["usage"] = {
        "prompt_tokens": result.prompt_tokens,
        "reused_tokens": result.reused_tokens,
        "is_partial": result.is_partial,
        "in_line_ms": result.sharing.in_line_ms,
        "passes": result.sharing.passes,
        "rows": result.sharing.rows,
        "parked": result.sharing.parked,
        "restored_tokens": result.sharing.restored_tokens,
    }
    for shown, completion in zip(answer["completions"], result.completions, strict=True):
        shown["along"] = [[end, logprob] for end, logprob in completion.along if math.isfinite(logprob)]
    return answer


def result_from(answer: object) -> CompletionResult:
    """Read what `answer_json` wrote. Raises `RequestError` for anything else, because the service may have another
    version.
    """
    fields = Fields(answer, "the answer")
    timing = Fields(fields.member("timing_ms") or {}, "timing_ms")
    usage = Fields(fields.member("usage") or {}, "usage")
    return CompletionResult(
        tuple(_completion_from(value) for value in fields.elements("completions", 64)),
        Timing(*(timing.number(name, 0.0) for name in ("tokenize", "heal", "prefill", "decode", "total"))),
        usage.whole("prompt_tokens", 0),
        usage.whole("reused_tokens", 0),
        usage.truth("is_partial", False),
    )


def _completion_json(completion: Completion) -> dict[str, Any]:
    healing = completion.healing
    return {
        "text": completion.text,
        "logprob": finite(completion.logprob),
        "tokens": completion.tokens,
        "stop": completion.stop,
        "healing": {
            "mode": healing.mode,
            "tail": healing.tail,
            "tokens_back": healing.tokens_back,
            "covers": healing.covers,
            "surprise_bits": finite(healing.surprise_bits),
        },
    }


def _completion_from(value: object) -> Completion:
    fields = Fields(value, "a completion")
    healing = Fields(fields.member("healing") or {}, "healing")
    reason: StopReason = fields.choice("stop", get_args(StopReason), "end")
    return Completion(
        fields.text("text"),
        fields.number("logprob", -math.inf),
        fields.whole("tokens"),
        reason,
        HealingReport(
            healing.text("mode", ""),
            healing.text("tail", ""),
            healing.whole("tokens_back", 0),
            healing.whole("covers", 0),
            healing.number("surprise_bits", math.inf),
        ),
        tuple(_step(step) for step in fields.elements("along", 4096)),
    )


def _step(value: object) -> tuple[int, float]:
    pair = value if isinstance(value, list) and len(value) == 2 else (None, None)
    step = Fields(dict(zip(("characters", "logprob"), pair, strict=True)), "along")
    return step.whole("characters"), step.number("logprob", -math.inf)


def finite(value: float) -> float | None:
    """The number, or None for an infinity."""
    return value if math.isfinite(value) else None
