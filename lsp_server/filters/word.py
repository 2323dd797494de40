"""Inside a word, only completions that make it a known word are shown."""

import re
import sys

from lsp_server.code.words import has_word, word_after, word_before
from lsp_server.filters.draft import Draft

SEARCHED_CHARACTERS = 50_000
"""Characters on each side of the cursor in which a word is searched."""
_IMPORT = re.compile(r"\s*(?:import|from)\s")


def within_a_known_word(draft: Draft) -> str:
    """Return nothing if the text and the word after the cursor would form an unknown word: one that is not in the
    document and, in an import, not the name of a module.

    If the cursor is inside a word, the text may only be a part of one word. At the beginning of a line, words may be
    added.
    """
    after = word_after(draft.suffix)
    if not after or after.isdecimal():
        return draft.text
    before, written = word_before(draft.prefix[-SEARCHED_CHARACTERS:]), word_before(draft.text)
    if before and written != draft.text:
        return ""
    if not written or not draft.line_start.strip():
        return draft.text
    return draft.text if _is_known(before + written + after, before, after, draft) else ""


def _is_known(word: str, before: str, after: str, draft: Draft) -> bool:
    if draft.syntax.blocks == "indent" and _IMPORT.match(draft.line_start) and word in sys.stdlib_module_names:
        return True
    above = draft.prefix[: len(draft.prefix) - len(before)][-SEARCHED_CHARACTERS:]
    return has_word(above, word) or has_word(draft.suffix[len(after) :][:SEARCHED_CHARACTERS], word)
