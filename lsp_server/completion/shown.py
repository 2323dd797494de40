"""What is shown of a result: completions after all filters."""

from dataclasses import replace

from engine import Completion, CompletionResult, StopReason
from lsp_server.completion.prompt import Code
from lsp_server.filters import Draft, shown

BROKEN_OFF: tuple[StopReason, ...] = ("length", "context", "budget")


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


def _characters(text: str) -> int:
    """Number of characters other than white space, because filters change white space without cutting text off."""
    return sum(map(len, text.split()))
