"""Brackets and quotes that the document closes already are not closed a second time."""

from lsp_server.code.scanner import Scanner
from lsp_server.filters.draft import Draft

LOOKED_AHEAD_CHARACTERS = 20_000


def without_doubled_closers(draft: Draft) -> str:
    """Cut before the first bracket or quote that closes one more than the text after the cursor leaves open.

    A text that is back in the string that the cursor is in stays whole: in ``f("a|")`` the completion ``", "b`` closes
    one string and begins the one that the document ends.
    """
    after = Scanner(draft.syntax, draft.state)
    closed = sum(1 for _ in after.closings(draft.suffix[:LOOKED_AHEAD_CHARACTERS]))
    inside = draft.state.inside
    in_string = inside is not None and inside.kind == "string"
    free = len(draft.state.brackets) + in_string - closed
    written = Scanner(draft.syntax, draft.state)
    closings = list(written.closings(draft.text))
    if len(closings) <= free or (in_string and written.state == draft.state):
        return draft.text
    return draft.text[: closings[free].start]
