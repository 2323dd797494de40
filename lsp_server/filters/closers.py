"""Brackets and quotes that the document already closes are not closed again, and only open ones are closed."""

from lsp_server.code.scanner import SCANNED_CHARACTERS, Scanner
from lsp_server.filters.draft import Draft, left_open


def without_doubled_closers(draft: Draft) -> str:
    """Cut before the first bracket or quote that closes something which the text after the cursor closes already, and
    before a bracket that closes nothing.

    A text stays whole if it ends in a string or field like the one at the cursor: in ``f("a|")`` the completion ``",
    "b`` closes one string and begins another one, which the document closes.
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
