"""Brackets and quotes that the document closes are not closed again, and only open ones are closed."""

from lsp_server.code.scanner import SCANNED_CHARACTERS, Scanner
from lsp_server.filters.draft import Draft, left_open


def without_doubled_closers(draft: Draft) -> str:
    """Cut before the first bracket or quote that closes one more than the text after the cursor leaves open, and before
    a bracket that closes nothing.

    A text that is back in the string or the field that the cursor is in stays whole: in ``f("a|")`` the completion
    ``", "b`` closes one string and begins the one that the document ends.
    """
    written = Scanner(draft.syntax, draft.state)
    closings = list(written.closings(draft.text))
    ends = []
    in_string = draft.state.in_string or bool(draft.state.fields)
    if closings and not (in_string and written.state == draft.state):
        free = left_open(draft, draft.state)
        ends += [closing.start for closing in closings[free:]]
    is_sure = draft.syntax.has_pairs and not draft.syntax.lone_closers and len(draft.prefix) <= SCANNED_CHARACTERS
    if written.closed_nothing is not None and is_sure:
        ends.append(written.closed_nothing)
    return draft.text[: min(ends, default=None)]
