"""In the middle of a word, only completions that make a known word of it are shown."""

import re
import sys

from lsp_server.code.words import has_word, word_after, word_before
from lsp_server.filters.draft import Draft

SEARCHED_CHARACTERS = 50_000
"""Text on each side of the cursor in which a word is looked for."""
_IMPORT = re.compile(r"\s*(?:import|from)\s")


def within_a_known_word(draft: Draft) -> str:
    """Nothing where the text would be joined with the word after the cursor to one that is neither in the document nor,
    in an import, the name of a module.

    Where the cursor stands in a word, the text may be a part of one word only. In front of a line, words may be added.
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
