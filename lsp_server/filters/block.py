"""Lines below the first belong to a block that begins there."""

from lsp_server.code.blocks import is_finished, opens_block
from lsp_server.code.line_mode import lines_wanted
from lsp_server.code.scanner import Scanner
from lsp_server.filters.draft import Draft


def without_lines_of_no_block(draft: Draft) -> str:
    """Keep only the first line if it opens no block and leaves no bracket open. Nothing changes for a user who wants
    several lines everywhere.
    """
    first, newline, _ = draft.text.partition("\n")
    if not newline or draft.several_lines or draft.syntax.blocks == "none":
        return draft.text
    scanner = Scanner(draft.syntax, draft.state)
    for _ in scanner.closings(first):
        pass
    state, line = scanner.state, draft.line_start + first
    if not line.strip():
        return draft.text
    if draft.line_start.strip() or lines_wanted(draft.prefix, draft.suffix, draft.syntax, draft.state) == "single":
        is_over = is_finished(line, draft.syntax, state) and not opens_block(line, draft.syntax)
        if is_over or (state.inside is not None and state.inside.multiline):
            return first
    return draft.text
