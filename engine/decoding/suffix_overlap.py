"""Removes from a finished completion what the document already has after the cursor."""

_OPENERS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(_OPENERS.values())
_QUOTES = frozenset("\"'`")


def trim_suffix_overlap(text: str, suffix: str) -> str:
    """Cut from the end of ``text`` what the document already holds after the cursor.

    The longest end of ``text`` that ``suffix`` starts with is removed, because a token may span the end of the middle
    and the start of the suffix. Brackets that close brackets inside ``text`` stay. In ``print(|)``, for example, the
    completion ``len(x)`` stays whole, although the document continues with the character that it ends in.
    """
    length = common_end(text, suffix)
    while length and _needed(text, length):
        length = common_end(text, suffix[: length - 1])
    return text[: len(text) - length]


def common_end(text: str, suffix: str) -> int:
    """Length of the longest end of ``text`` that ``suffix`` starts with, in characters."""
    for length in range(min(len(text), len(suffix)), 0, -1):
        if text.endswith(suffix[:length]):
            return length
    return 0


def _needed(text: str, length: int) -> bool:
    """Whether the last ``length`` characters of ``text`` close brackets that it opened itself."""
    cut = text[len(text) - length :]
    if not all(c in _CLOSERS or c in _QUOTES or c.isspace() for c in cut):
        return False
    return _unclosed(text) < _unclosed(text[: len(text) - length])


def _unclosed(text: str) -> int:
    """Number of brackets and quotes that ``text`` opens and does not close (strings as one line of code sees them)."""
    stack: list[str] = []
    quote = ""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\"
            quote = "" if character in (quote, "\n") else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPENERS:
            stack.append(_OPENERS[character])
        elif stack and character == stack[-1]:
            stack.pop()
    return len(stack) + bool(quote)
