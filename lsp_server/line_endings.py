"""Document text and engine text: the only place that converts between them.

The engine reads and writes ``\\n``, which is what its models were trained on, and text that UTF-8 can hold. An editor's
document keeps the line breaks that it has.
"""


def to_engine(text: str) -> str:
    """Document text as the engine wants it: every line break is ``\\n``, and no surrogate is alone."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Two edits can bring the halves of one character together; halves that stay alone become U+FFFD.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def to_document(text: str, line_break: str) -> str:
    """Text of a completion as it must be inserted into a document whose lines end in ``line_break``."""
    return text if line_break == "\n" else text.replace("\n", line_break)
