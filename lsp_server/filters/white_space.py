"""Removes white space that nobody would type."""

from lsp_server.filters.draft import Draft


def without_idle_space(draft: Draft) -> str:
    """Take white space off the end where nothing follows on the line; nothing where there is nothing else."""
    text = draft.text if draft.line_rest.strip() else draft.text.rstrip()
    return text if text.strip() else ""
