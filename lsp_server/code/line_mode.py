"""One line or a block: what the setting ``multiLine`` leaves to the code around the cursor.

A block is worth guessing where one begins and is still empty. Anywhere else the user wants to see one line, and more
text would be in the way.
"""

from collections.abc import Iterator

from engine import LineMode
from lsp_server.code.scanner import State, code_of
from lsp_server.code.syntax import Syntax, width

LOOKED_BACK_LINES = 60
"""How far above the cursor the line that opens its block may be, doc string and comments included."""


def lines_wanted(prefix: str, suffix: str, syntax: Syntax, state: State) -> LineMode:
    """``multi`` if the cursor is at an empty block, or at the end of a line that may open one; otherwise ``single``.

    ``state`` is that at the cursor. It is always ``single`` with code after the cursor on its line, in comments and
    strings, and in languages whose blocks are not known.
    """
    line = prefix[prefix.rfind("\n") + 1 :]
    rest, _, below = suffix.partition("\n")
    if syntax.blocks == "none" or state.inside is not None or rest.strip():
        return "single"
    if line.strip():
        return "multi" if _is_empty_below(line, below) else "single"
    header = _header(prefix[: len(prefix) - len(line)], syntax)
    if header is None or (syntax.blocks == "indent" and state.brackets):
        return "single"
    return "multi" if _is_empty_below(header, below) else "single"


def _is_empty_below(header: str, below: str) -> bool:
    """Whether the block of ``header`` has no lines yet: the next code below is not indented deeper."""
    following = next((line for line in _lines(below) if line.strip()), None)
    return following is None or width(following) <= width(header)


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _header(above: str, syntax: Syntax) -> str | None:
    """The line that opens the block at the end of ``above``, if the block has at most a doc string or comments;
    otherwise None.
    """
    lines = above.split("\n")[-LOOKED_BACK_LINES - 1 : -1]
    while lines:
        line = lines.pop()
        code = code_of(line, syntax)
        if not code:
            continue
        if syntax.opens_block(code):
            return line
        if not _drop_doc_string(code, lines):
            return None
    return None


def _drop_doc_string(code: str, lines: list[str]) -> bool:
    """Take the rest of the doc string that ends in ``code`` from ``lines``; False if it ends none."""
    quotes = next((quotes for quotes in ('"""', "'''") if code.endswith(quotes)), None)
    if quotes is None:
        return False
    if code.count(quotes) >= 2:
        return code.lstrip("rRuU").startswith(quotes)
    while lines:
        line = lines.pop().strip()
        if quotes in line:
            return line.lstrip("rRuU").startswith(quotes)
    return False
