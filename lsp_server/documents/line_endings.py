"""Document text and engine text: the only place that converts between them.

The engine reads and writes ``\\n``, because its models were trained on that, and only text that UTF-8 can hold. An
editor's document keeps its own line breaks. The line break for inserted text can be different.
"""

BUFFERS_WITHOUT_CARRIAGE_RETURNS = ("Neovim",)
"""Clients by name whose lines are split at ``\\n`` whatever the file has, while the documents that they send have the
line breaks of the file. In these clients a carriage return in an item would be shown and inserted as a character."""


def to_engine(text: str) -> str:
    """Document text in the engine's form: every line break is ``\\n``, and there are no lone surrogates."""
    text = without_carriage_returns(text)
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Two edits can join the halves of one character. Halves that stay alone become U+FFFD.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without_carriage_returns(text: str) -> str:
    """The text with ``\\n`` for every line break.

    >>> without_carriage_returns("a\\r\\nb\\rc")
    'a\\nb\\nc'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def length_in_document(text: str, length: int) -> int:
    """How many characters of document text correspond to its first ``length`` characters without carriage returns.

    >>> length_in_document("a\\r\\nb", 2)
    3
    """
    end = 0
    for _ in range(length):
        end += 2 if text.startswith("\r\n", end) else 1
    return end


def to_document(text: str, line_break: str) -> str:
    """Text of a completion as it must be inserted into a document whose lines end in ``line_break``."""
    return text if line_break == "\n" else text.replace("\n", line_break)
