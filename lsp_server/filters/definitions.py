"""A completion does not define a name again in the same scope."""

from lsp_server.code.definitions import defined_in, may_come_again
from lsp_server.code.syntax import width
from lsp_server.filters.draft import Draft

LOOKED_AT_LINES = 400
"""Lines on each side of the cursor, in which the definitions of its scope are looked for."""


def without_second_definitions(draft: Draft) -> str:
    """Cut before the line that defines what its scope defines already, and before the decorators above it."""
    if draft.state.inside is not None or not draft.syntax.definitions:
        return draft.text
    above = draft.prefix.split("\n")[-LOOKED_AT_LINES:-1]
    below = draft.suffix.split("\n")[1:LOOKED_AT_LINES]
    lines = (draft.line_start + draft.text).split("\n")
    lines[-1] += draft.line_rest
    for number, line in enumerate(lines):
        name = defined_in(line, draft.syntax)
        if name is None or (number == 0 and defined_in(draft.line_start + draft.line_rest, draft.syntax) == name):
            continue
        before = above + lines[:number]
        if may_come_again(before, draft.syntax):
            continue
        if name in _scope(before[::-1], line, draft) or name in _scope(below, line, draft):
            while number and not (lines[number - 1].strip() and not lines[number - 1].lstrip().startswith("@")):
                number -= 1
            return "\n".join(lines[:number])[len(draft.line_start) :]
    return draft.text


def _scope(lines: list[str], line: str, draft: Draft) -> set[str]:
    """The names defined next to ``line``, in lines in the order of their distance from it, up to the end of its
    block.
    """
    names, own = set(), width(line)
    for other in lines:
        if not other.strip():
            continue
        if width(other) < own and not other.lstrip().startswith(("#", "//", ")", "]")):
            break
        name = defined_in(other, draft.syntax) if width(other) == own else None
        if name is not None:
            names.add(name)
    return names
