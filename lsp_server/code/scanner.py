"""Reads code from one place to another: comments, strings, and which brackets are open."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from lsp_server.code.syntax import BRACKETS, Delimiter, Syntax

SCANNED_CHARACTERS = 100_000
"""How far back a scan begins, at a line. A string over several lines that begins before is not seen as one."""
CHECKED_EVERY = 1024
"""Brackets, strings and comments between two looks at whether anybody still wants the answer."""
_OPENERS = {closer: opener for opener, closer in BRACKETS.items()}


@dataclass(frozen=True, slots=True)
class State:
    """What is open at a place: brackets from the outermost to the innermost, then maybe a comment or a string."""

    brackets: tuple[str, ...] = ()
    inside: Delimiter | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """The characters ``start`` to ``end`` close something that was open before the text."""

    start: int
    end: int


def _go_on() -> None:
    """The checkpoint of a scan that nobody calls off."""


class Scanner:
    """Reads one text; `state` is that of its end once it is exhausted.

    ``checkpoint`` is called now and then, and raises to call the scan off. The time is linear in the text, whatever is
    opened and never closed, or closed and never opened.
    """

    def __init__(self, syntax: Syntax, state: State, checkpoint: Callable[[], None] = _go_on) -> None:
        self._syntax = syntax
        self._checkpoint = checkpoint
        self._brackets = list(state.brackets)
        self._open = Counter(state.brackets)
        self._inside = state.inside
        self._ours = len(state.brackets)  # brackets that were open before and still are
        self._string_is_ours = state.inside is not None and state.inside.kind == "string"

    @property
    def state(self) -> State:
        return State(tuple(self._brackets), self._inside)

    def closings(self, text: str) -> Iterator[Closing]:
        """Read ``text``; yield what it closes of that which was open before. Closers that fit nothing do not count."""
        position, openers, read = 0, _openers(self._syntax), 0
        while position < len(text):
            read += 1
            if read % CHECKED_EVERY == 0:
                self._checkpoint()
            if self._inside is not None:
                end = _end(self._inside, text, position)
                if end is None:
                    return
                if self._string_is_ours and self._inside.closer:
                    yield Closing(end - len(self._inside.closer), end)
                self._string_is_ours = False
                position, self._inside = end, None
            elif match := openers.search(text, position):
                position = match.end()
                if self._take(match[0]):
                    yield Closing(match.start(), match.end())
            else:
                return

    def _take(self, token: str) -> bool:
        if token in BRACKETS:
            self._brackets.append(token)
            self._open[token] += 1
        elif token not in _OPENERS:
            self._inside = next(delimiter for delimiter in self._syntax.delimited if delimiter.opener == token)
        elif self._open[_OPENERS[token]]:
            # Brackets inside it that were never closed do not count any more.
            last = ""
            while last != _OPENERS[token]:
                last = self._brackets.pop()
                self._open[last] -= 1
            if len(self._brackets) < self._ours:
                self._ours = len(self._brackets)
                return True
        return False


def scan(text: str, syntax: Syntax, checkpoint: Callable[[], None] = _go_on) -> State:
    """The state after ``text``. Only the last `SCANNED_CHARACTERS` of it are read; ``checkpoint`` raises to stop."""
    if len(text) > SCANNED_CHARACTERS:
        text = text[text.find("\n", len(text) - SCANNED_CHARACTERS) + 1 :]
    scanner = Scanner(syntax, State(), checkpoint)
    for _ in scanner.closings(text):
        pass
    return scanner.state


def code_of(line: str, syntax: Syntax) -> str:
    """A line that begins outside comments and strings, without its comment and the white space around."""
    position, openers = 0, _openers(syntax)
    while match := openers.search(line, position):
        position = match.end()
        found = next((delimiter for delimiter in syntax.delimited if delimiter.opener == match[0]), None)
        if found is None:
            continue
        if found.kind == "comment":
            line = line[: match.start()]
            break
        position = _end(found, line, position) or len(line)
    return line.strip()


def _end(inside: Delimiter, text: str, position: int) -> int | None:
    """Where ``inside``, open at ``position``, ends; None if it does not before the end of the text."""
    match = _until_closed(inside).match(text, position)
    assert match is not None, "the pattern matches the empty text"
    end = match.end()
    if inside.closer and text.startswith(inside.closer, end):
        return end + len(inside.closer)
    return end if end < len(text) else None


@cache
def _openers(syntax: Syntax) -> re.Pattern[str]:
    openers = [delimiter.opener for delimiter in syntax.delimited] + [*BRACKETS, *_OPENERS]
    return re.compile("|".join(map(re.escape, openers)))


@cache
def _until_closed(inside: Delimiter) -> re.Pattern[str]:
    """Matches up to what ends the delimiter, or to the end of the text."""
    if not inside.closer:
        return re.compile(r"[^\n]*")
    closer = re.escape(inside.closer)
    line_only = "" if inside.multiline else r"(?!\n)"
    escaped = r"\\(?s:.)|" if inside.kind == "string" else ""
    return re.compile(rf"(?:{escaped}(?!{closer}){line_only}(?s:.))*")
