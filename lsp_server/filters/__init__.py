"""What is done to a completion before it is shown: one file for each filter, one loop over them.

Each makes the text right for its place, and may leave nothing of it. How sure the model must be is no filter but an end
of the completion (`lsp_server.code.confidence`), so that nothing is computed that is not shown.
"""

from dataclasses import replace

from lsp_server.filters.closers import without_doubled_closers
from lsp_server.filters.draft import Draft, Filter
from lsp_server.filters.indentation import in_own_style
from lsp_server.filters.loops import without_loops
from lsp_server.filters.neighbours import without_neighbours
from lsp_server.filters.rest_of_line import without_rest_of_line
from lsp_server.filters.white_space import without_idle_space

__all__ = ["FILTERS", "Draft", "Filter", "shown"]

FILTERS: tuple[Filter, ...] = (
    without_rest_of_line,
    without_doubled_closers,
    in_own_style,
    without_neighbours,
    without_loops,
    without_idle_space,
)


def shown(draft: Draft, filters: tuple[Filter, ...] = FILTERS) -> str:
    """The text as it is shown; empty where it is not."""
    for apply in filters:
        text = apply(draft)
        if not text:
            return ""
        draft = replace(draft, text=text)
    return draft.text
