"""Whether the code around a place parses. tree-sitter reads a window, because whole files take too long for each
keystroke.

The window is the outermost statement around the cursor. If that is long, it is the lines near the cursor and the
headers around them. A badly cut window does not parse without the completion either, and then it decides nothing.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lsp_server.code.grammars import GRAMMARS
from lsp_server.code.syntax import width

if TYPE_CHECKING:
    from tree_sitter import Language

WHOLE_CHARACTERS = 4000
"""A statement of up to this many characters is the whole window."""
NEAR_CHARACTERS = 1500
"""Characters that are read of a longer statement on each side of the cursor."""
SEARCHED_CHARACTERS = 60_000
_GOES_ON = (")", "]", "}", "else", "elif", "except", "finally", "catch", "end", "then", "do")
"""Beginnings of a line that belongs to the statement above, although it is not indented deeper."""


@dataclass(frozen=True, slots=True)
class Window:
    """Text before and after the cursor."""

    prefix: str
    suffix: str


def parses(text: str, grammar: str) -> bool:
    """Whether ``text`` has no error. The grammar must be `known`."""
    from tree_sitter import Parser

    language = _language(grammar)
    assert language is not None, "a grammar that is not there was asked"
    return not Parser(language).parse(text.encode("utf-8", "replace")).root_node.has_error


def known(grammar: str) -> bool:
    """Whether there is a grammar of that name on this platform."""
    return bool(grammar) and _language(grammar) is not None


@cache
def _language(grammar: str) -> "Language | None":
    try:
        from tree_sitter import Language

        return Language(GRAMMARS[grammar]())
    except (ImportError, OSError, ValueError):  # no wheel for this platform, or one of another version
        return None


def window_at(prefix: str, suffix: str) -> Window:
    """The text around the cursor that is parsed."""
    prefix, suffix = prefix[-SEARCHED_CHARACTERS:], suffix[:SEARCHED_CHARACTERS]
    line = prefix.rfind("\n") + 1
    above, here = prefix[:line].splitlines(keepends=True), prefix[line:]
    rest_end = suffix.find("\n") + 1 or len(suffix)
    rest, below = suffix[:rest_end], suffix[rest_end:].splitlines(keepends=True)
    start = _statement_start(above, here + rest)
    end = next((number for number, text in enumerate(below) if _is_outermost(text)), len(below))
    kept_above, kept_below = above[start:], below[:end]
    if sum(map(len, kept_above)) + sum(map(len, kept_below)) > WHOLE_CHARACTERS:
        kept_above, kept_below = _near(kept_above, here + rest, kept_below)
    return Window("".join(kept_above) + here, rest + "".join(kept_below))


def _statement_start(above: list[str], line: str) -> int:
    number = len(above)
    if _is_outermost(line) and not line.lstrip().startswith("@"):
        while number and above[number - 1].startswith(("@", "#[")):  # decorators of what the line defines
            number -= 1
        return number
    while number:
        number -= 1
        if _is_outermost(above[number]):
            return number
    return 0


def _is_outermost(line: str) -> bool:
    """Whether an outermost statement begins with this line."""
    return bool(line.strip()) and not line[0].isspace() and not line.startswith(_GOES_ON)


def _near(above: list[str], line: str, below: list[str]) -> tuple[list[str], list[str]]:
    """The lines near the cursor, starting at a statement that is not deeper than the others, and the headers around
    them.
    """
    near, rest = _split(above[::-1])
    own = [width(text) for text in (*near, line) if text.strip()]
    least = min(own, default=0)
    while near and (not near[-1].strip() or width(near[-1]) > least or near[-1].lstrip().startswith(_GOES_ON)):
        rest.insert(0, near.pop())
    after, further = _split(below)
    ends = [number for number, text in enumerate(after) if text.strip() and width(text) <= least]
    if further and ends:
        further = after[ends[-1] :] + further
        after = after[: ends[-1]]
    return (near + _shallower(rest, least))[::-1], after + _shallower(further, least + 1)


def _split(lines: list[str]) -> tuple[list[str], list[str]]:
    length = 0
    for number, text in enumerate(lines):
        length += len(text)
        if length > NEAR_CHARACTERS:
            return lines[:number], lines[number:]
    return lines, []


def _shallower(lines: list[str], least: int) -> list[str]:
    """From lines in the order of their distance from the cursor, those that are less indented than all before."""
    kept: list[str] = []
    for text in lines:
        if text.strip() and width(text) < least:
            kept.append(text)
            least = width(text)
    return kept
