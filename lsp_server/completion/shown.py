"""What of a result is shown: completions after all filters."""

from dataclasses import replace

from engine import Completion, CompletionResult, StopReason
from lsp_server.completion.prompt import Code
from lsp_server.filters import Draft, shown

BROKEN_OFF: tuple[StopReason, ...] = ("length", "context", "budget")


def fitted(result: CompletionResult, code: Code, *, several_lines: bool = False) -> CompletionResult:
    """The result with completions as they are shown, without those of which nothing, or only a better one, is left.

    ``several_lines`` says that the user wants them everywhere.
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


def _characters(text: str) -> int:
    """Without white space, which filters change without cutting anything off."""
    return sum(map(len, text.split()))
