"""What is shown of a result: completions after all filters."""

import math
import re
from dataclasses import replace

from engine import Completion, CompletionResult, HealingMode, HealingReport, StopReason, Timing
from lsp_server.completion.prompt import Code
from lsp_server.filters import Draft, shown

BROKEN_OFF: tuple[StopReason, ...] = ("length", "context", "budget")
_NOT_YET_CERTAIN = re.compile(r"(?:[(\[]\s*)*\w*\Z")
"""A word that is not finished yet, and brackets opened before it: the whole loses those that it does not close."""


def fitted(result: CompletionResult, code: Code, *, several_lines: bool = False) -> CompletionResult:
    """The result with completions as they are shown. Those that become empty, or equal to a better one, are left out.

    ``several_lines`` says that the user wants several lines everywhere.
    """
    kept: dict[str, Completion] = {}
    for completion in result.completions:
        broken_off = completion.stop in BROKEN_OFF
        along = completion.along or ((len(completion.text), completion.logprob),)
        draft = Draft(
            completion.text,
            code.prefix,
            code.suffix,
            code.syntax,
            code.state,
            several_lines,
            broken_off,
            along,
            code.elsewhere,
        )
        if text := shown(draft):
            stop = completion.stop if _characters(text) == _characters(completion.text) else "cut"
            kept.setdefault(text, replace(completion, text=text, stop=stop))
    return replace(result, completions=tuple(kept.values()))


def begun(written: str, code: Code, healing: HealingMode, *, several_lines: bool = False) -> CompletionResult | None:
    """What can be shown of a completion of which ``written`` is there so far: whole words, after the filters; None if
    that is nothing.

    The model's confidence is not known here, so unknown names are left out.
    """
    text = _NOT_YET_CERTAIN.sub("", written)
    if not text.strip():
        return None
    only = Completion(text, -math.inf, 0, "budget", HealingReport(healing, "", 0, 0, 0.0))
    return fitted(CompletionResult((only,), Timing(), 0, 0), code, several_lines=several_lines)


def _characters(text: str) -> int:
    """Number of characters other than white space, because filters change white space without cutting text off."""
    return sum(map(len, text.split()))
