"""Words of code: the ones beside the cursor, and whether a text has one."""

import re

from engine import is_word_character


def word_before(text: str) -> str:
    """The word characters that ``text`` ends with."""
    start = len(text)
    while start and is_word_character(text[start - 1]):
        start -= 1
    return text[start:]


def word_after(text: str) -> str:
    """The word characters that ``text`` begins with."""
    end = 0
    while end < len(text) and is_word_character(text[end]):
        end += 1
    return text[:end]


def has_word(text: str, word: str) -> bool:
    """Whether ``word`` stands in ``text``, not as a part of a longer one."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
