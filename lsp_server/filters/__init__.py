"""What is done to a completion before it is shown: one file for each filter, one loop over them.

Each filter changes the text to fit its place, and may return an empty text. Confidence is not a filter: the engine ends
the completion at a doubtful word (`lsp_server.code.confidence`), so that nothing is computed that is not shown.
"""

from dataclasses import replace

from lsp_server.filters.block import without_lines_of_no_block
from lsp_server.filters.closers import without_doubled_closers
from lsp_server.filters.definitions import without_second_definitions
from lsp_server.filters.draft import Draft, Filter
from lsp_server.filters.errors import without_errors
from lsp_server.filters.indentation import in_own_style
from lsp_server.filters.loops import without_loops
from lsp_server.filters.names import without_unknown_names
from lsp_server.filters.neighbours import without_neighbours
from lsp_server.filters.openers import without_dangling_openers
from lsp_server.filters.rest_of_line import without_rest_of_line
from lsp_server.filters.white_space import without_idle_space
from lsp_server.filters.word import within_a_known_word

__all__ = ["FILTERS", "Draft", "Filter", "shown"]

FILTERS: tuple[Filter, ...] = (
    without_doubled_closers,
    without_rest_of_line,
    within_a_known_word,
    without_lines_of_no_block,
    without_unknown_names,
    in_own_style,
    without_second_definitions,
    without_neighbours,
    without_loops,
    without_dangling_openers,
    without_errors,
    without_idle_space,
)


def shown(draft: Draft, filters: tuple[Filter, ...] = FILTERS) -> str:
    """The text as it is shown; empty if nothing is shown."""
    for apply in filters:
        text = apply(draft)
        if not text:
            return ""
        draft = replace(draft, text=text)
    return draft.text
