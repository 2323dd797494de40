"""Brackets and quotes that are never closed are not opened."""

import re

from lsp_server.code.scanner import Scanner, State
from lsp_server.filters.draft import Draft, left_open

AHEAD_CHARACTERS = 1500
"""Characters after the cursor that are searched for closers. What the text opens is innermost, so its closer is
near.
"""
_BEFORE_A_BLOCK = re.compile(r"(?:\)|=>|[\w\]>?])\s*\Z")
_BEFORE_A_VALUE = re.compile(r"\b(?:return|yield|in|of|case|default)\s*\Z")


def without_dangling_openers(draft: Draft) -> str:
    """Cut before a bracket or a quote that neither the text nor what follows it closes.

    A brace that opens a block at the end of the line stays, because its block is written next. A later line is removed
    as a whole. Nothing is cut if the text was broken off at the end of the document's line.
    """
    if not draft.syntax.has_pairs or (draft.broken_off and not draft.line_rest.strip()):
        return draft.text
    free_before: int | None = None
    text, blocks = draft.text, 0
    while True:
        scanner = Scanner(draft.syntax, draft.state)
        ours = draft.state.depth - sum(1 for _ in scanner.closings(text))
        opened = scanner.opened[: len(scanner.opened) - blocks]
        if not opened:
            return text
        if free_before is None:
            free_before = left_open(draft, draft.state, AHEAD_CHARACTERS)
        if left_open(draft, scanner.state, AHEAD_CHARACTERS) - blocks <= min(free_before, ours):
            return text
        text, blocks = _before(draft, text, opened[-1], scanner.state, blocks)


def _before(draft: Draft, text: str, opener: int, state: State, blocks: int) -> tuple[str, int]:
    below = text.rfind("\n", 0, opener)
    if below >= 0:
        return text[:below], 0
    if draft.syntax.blocks == "brace" and text[opener] == "{" and not blocks and not draft.line_rest.strip():
        line = draft.line_start + text[:opener]
        is_at_the_end = not text[opener + 1 :].split("\n")[0].strip()
        if is_at_the_end and _BEFORE_A_BLOCK.search(line) and not _BEFORE_A_VALUE.search(line):
            return text[: opener + 1], 1
    return text[:opener], 0
