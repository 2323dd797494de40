"""The text after the cursor is not repeated before it, and the line does not end before it."""

import re

from lsp_server.code.scanner import Scanner, code_of
from lsp_server.filters.draft import Draft, is_telling

_TOKEN = re.compile(r"\s*(\w+|[^\w\s])")
_CLOSERS = frozenset(")]}")


def without_rest_of_line(draft: Draft) -> str:
    """Cut where the text reaches the rest of the line. Return nothing if the text begins like the rest, or would end
    the line before it.

    Another filter handles closing brackets, and the quote that ends the string at the cursor.
    """
    rest = draft.line_rest.rstrip()
    if not rest:
        return draft.text
    code = rest if draft.state.inside is not None else code_of(rest, draft.syntax)
    if not code:
        return _without_comment(draft)
    if _begins_as(draft, rest):
        return ""
    first, newline, _ = draft.text.partition("\n")
    found = _found(first, rest)
    if found is not None:
        return draft.text[:found]
    return "" if _ends_line(draft, first, code, bool(newline)) else draft.text


def _begins_as(draft: Draft, rest: str) -> bool:
    theirs, ours = _TOKEN.match(rest), _TOKEN.match(draft.text)
    if theirs is None or ours is None or theirs[1] != ours[1] or theirs[1] in _CLOSERS:
        return False
    inside = draft.state.inside
    around = inside or (draft.state.fields[-1].string if draft.state.fields else None)
    return around is None or not around.closer.startswith(theirs[1])


def _found(first: str, rest: str) -> int | None:
    """Where the first line of the text reaches the rest of the line. A rest with little content counts only at the
    end of the text.
    """
    if is_telling(rest):
        found = first.find(rest)
    else:
        stripped = first.rstrip()
        found = len(stripped) - len(rest) if stripped.endswith(rest) and rest[0] not in _CLOSERS else -1
    return found if found >= 0 else None


def _ends_line(draft: Draft, first: str, code: str, goes_on: bool) -> bool:
    scanner = Scanner(draft.syntax, draft.state)
    for _ in scanner.closings(first):
        pass
    if scanner.state.inside is not None or draft.syntax.blocks == "none":
        return False
    if draft.syntax.blocks == "indent":
        ends = not scanner.state.brackets and (goes_on or first.rstrip().endswith(":"))
        return ends and not code.startswith("=")  # an annotated name
    return first.rstrip().endswith(";") or (goes_on and not set(code) <= {*")]};,"})


def _without_comment(draft: Draft) -> str:
    """Remove a comment from the text if the line already has one."""
    scanner = Scanner(draft.syntax, draft.state)
    for _ in scanner.closings(draft.text.partition("\n")[0]):
        pass
    return draft.text if scanner.comment_at is None else draft.text[: scanner.comment_at].rstrip()
