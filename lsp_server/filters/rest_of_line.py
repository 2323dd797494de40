"""What stands on the line after the cursor is not written before it too."""

import re

from lsp_server.filters.draft import Draft, is_telling

_WORD = re.compile(r"\w+")


def without_rest_of_line(draft: Draft) -> str:
    """Cut where the text comes to what the line goes on with; nothing where it only writes the cursor's word again."""
    rest = draft.line_rest.rstrip()
    if not rest:
        return draft.text
    if _is_word_again(draft, rest):
        return ""
    if not is_telling(rest):  # closers and the like: `closers` looks at what they close
        return draft.text
    first, _, _ = draft.text.partition("\n")
    found = first.find(rest)
    return draft.text if found < 0 else draft.text[:found]


def _is_word_again(draft: Draft, rest: str) -> bool:
    """In ``impo|rt os`` a text such as ``rt sys`` would make ``import sysrt os``."""
    before, after, written = draft.prefix[-1:], _WORD.match(rest), _WORD.match(draft.text)
    if after is None or written is None or not _WORD.match(before):
        return False
    return after[0] == written[0]
