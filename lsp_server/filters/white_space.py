"""Removes white space that nobody would type."""

from lsp_server.filters.draft import Draft


def without_idle_space(draft: Draft) -> str:
    """Remove white space at the end if nothing follows on the line. Return nothing if there is only white space."""
    text = draft.text if draft.line_rest.strip() else draft.text.rstrip()
    return text if text.strip() else ""
