"""Words of code: the ones beside the cursor, and whether a text has one."""

import re

from engine import is_word_character

_SEARCHED_WITHOUT_AN_EXPRESSION = 3
"""A word of at least this many characters is rare enough that plain searching is faster."""


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
    """Whether ``text`` contains ``word`` as a whole word."""
    if len(word) < _SEARCHED_WITHOUT_AN_EXPRESSION:
        return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not any(map(is_word_character, text[max(0, at - 1) : at] + text[end : end + 1])):
            return True
        at = text.find(word, end)
    return False


def words_that_begin(text: str, beginning: str) -> set[str]:
    """The words of ``text`` that begin with ``beginning``, which is not empty, and are longer."""
    return set(re.findall(rf"(?<!\w){re.escape(beginning)}\w+", text)) if beginning in text else set()
