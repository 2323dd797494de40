"""Reads code from one place to another: comments, strings, and which brackets are open."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from lsp_server.code.syntax import BRACKETS, Delimiter, Syntax

SCANNED_CHARACTERS = 100_000
"""How many characters back a scan begins, at a line start. A multi-line string that begins earlier is not
recognised.
"""
CHECKED_EVERY = 1024
"""Number of brackets, strings and comments between two calls of the checkpoint."""
_OPENERS = {closer: opener for opener, closer in BRACKETS.items()}


@dataclass(frozen=True, slots=True)
class Field:
    """Code inside a string, such as a field of an f-string. Its own bracket has the index ``depth``."""

    string: Delimiter
    depth: int


@dataclass(frozen=True, slots=True)
class State:
    """What is open at a place: brackets from the outermost to the innermost, then possibly a comment or a string.

    ``fields`` are those of the brackets that open code within a string.
    """

    brackets: tuple[str, ...] = ()
    inside: Delimiter | None = None
    fields: tuple[Field, ...] = ()

    @property
    def in_string(self) -> bool:
        return self.inside is not None and self.inside.kind == "string"

    @property
    def depth(self) -> int:
        """How many brackets and strings are open."""
        return len(self.brackets) + len(self.fields) + self.in_string


@dataclass(frozen=True, slots=True)
class Closing:
    """The characters ``start`` to ``end`` close something that was open before the text."""

    start: int
    end: int


def _go_on() -> None:
    """The checkpoint of a scan that is never cancelled."""


@dataclass(slots=True)
class _Level:
    """A field that is being read: the state to restore after it, and where its string was opened."""

    string: Delimiter
    depth: int
    string_at: int
    outside: Counter[str]


class Scanner:
    """Reads one text. When `closings` is exhausted, `state` is the state at its end.

    ``checkpoint`` is called now and then, and may raise to stop the scan. The time is linear in the text, even if much
    is opened and never closed, or closed and never opened.
    """

    def __init__(self, syntax: Syntax, state: State, checkpoint: Callable[[], None] = _go_on) -> None:
        self._syntax = syntax
        self._by_opener = _delimiters(syntax)
        self._checkpoint = checkpoint
        self._brackets = list(state.brackets)
        self._opened_at = [-1] * len(state.brackets)
        self._levels: list[_Level] = []
        edges = [0, *(field.depth for field in state.fields), len(state.brackets)]
        counts = [Counter(state.brackets[start:end]) for start, end in pairwise(edges)]
        for field, outside in zip(state.fields, counts, strict=False):
            self._levels.append(_Level(field.string, field.depth, -1, outside))
        self._open = counts[-1]  # only those of the innermost field: a bracket closes nothing outside of it
        self._inside = state.inside
        self._inside_at = -1
        self._tokens = self._patterns()
        self.closed_nothing: int | None = None
        """Position of the first closing bracket for which nothing is open."""
        self.comment_at: int | None = None
        """Where the first comment begins."""
        self.quoted: list[tuple[int, int]] = []
        """Start and end of each comment and string, with their delimiters, but without their fields."""

    @property
    def state(self) -> State:
        fields = tuple(Field(level.string, level.depth) for level in self._levels)
        return State(tuple(self._brackets), self._inside, fields)

    @property
    def opened(self) -> list[int]:
        """Positions of what the text opens and does not close, in order: brackets, strings, and strings around
        fields.
        """
        places = [*self._opened_at, *(level.string_at for level in self._levels)]
        if self._inside is not None and self._inside.kind == "string":
            places.append(self._inside_at)
        return sorted({place for place in places if place >= 0})

    def closings(self, text: str) -> Iterator[Closing]:
        """Read ``text`` and yield what it closes of the things that were open before. Closers that match nothing
        are ignored.
        """
        position, read = 0, 0
        while position < len(text):
            read += 1
            if read % CHECKED_EVERY == 0:
                self._checkpoint()
            if self._inside is not None:
                end, closer = _end(self._inside, text, position)
                is_field = end is not None and closer in self._inside.fields
                self.quoted.append((position, len(text) if end is None else end - is_field))
                if end is None:
                    return
                if is_field:
                    self._enter_field(closer, end)
                    position = end
                    continue
                if closer and self._inside.kind == "string" and self._inside_at < 0:
                    yield Closing(end - len(closer), end)
                position, self._inside = end, None
            elif match := self._tokens.search(text, position):
                position = match.end()
                if self._take(match[0], match.start()):
                    yield Closing(match.start(), match.end())
            else:
                return

    def _patterns(self) -> re.Pattern[str]:
        return _openers(self._syntax, self._levels[-1].string if self._levels else None)

    def _enter_field(self, opener: str, end: int) -> None:
        assert self._inside is not None
        self._levels.append(_Level(self._inside, len(self._brackets), self._inside_at, self._open))
        self._brackets.append(opener[-1])
        self._opened_at.append(end - len(opener))
        self._open = Counter(opener[-1])
        self._inside = None
        self._tokens = self._patterns()

    def _take(self, token: str, at: int) -> bool:
        """Whether a token outside of strings and comments closes something that was open before the text."""
        if token == "\n":
            while self._levels and not self._levels[-1].string.multiline:
                self._leave_string()
            return False
        if self._levels and not self._levels[-1].string.nests and token == self._levels[-1].string.closer:
            return self._leave_string()
        if token in BRACKETS:
            self._brackets.append(token)
            self._opened_at.append(at)
            self._open[token] += 1
        elif token not in _OPENERS:
            self._inside, self._inside_at = self._by_opener[token], at
            self.quoted.append((at, at + len(token)))
            if self._inside.kind == "comment" and self.comment_at is None:
                self.comment_at = at
        elif self._open[_OPENERS[token]]:
            return self._close(_OPENERS[token])
        elif self.closed_nothing is None:
            self.closed_nothing = at
        return False

    def _close(self, opener: str) -> bool:
        # Brackets inside it that were never closed no longer count.
        last, opened_at = "", 0
        while last != opener:
            last, opened_at = self._brackets.pop(), self._opened_at.pop()
            self._open[last] -= 1
        if self._levels and len(self._brackets) == self._levels[-1].depth:
            level = self._levels.pop()
            self._inside, self._inside_at, self._open = level.string, level.string_at, level.outside
            self._tokens = self._patterns()
        return opened_at < 0

    def _leave_string(self) -> bool:
        """The string around a field ends with the field still open."""
        level = self._levels.pop()
        del self._brackets[level.depth :], self._opened_at[level.depth :]
        self._open = level.outside
        self._tokens = self._patterns()
        return level.string_at < 0


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
    if not any(opener in line for opener in _comments(syntax)):
        return line.strip()
    scanner = Scanner(syntax, State())
    for _ in scanner.closings(line):
        pass
    return line[: scanner.comment_at].strip()


@cache
def _comments(syntax: Syntax) -> tuple[str, ...]:
    return tuple(delimiter.opener for delimiter in syntax.delimited if delimiter.kind == "comment")


def _end(inside: Delimiter, text: str, position: int) -> tuple[int | None, str]:
    """Where ``inside``, open at ``position``, ends or a field of it begins, and the text that ends or opens it (empty
    for the end of the line). None if neither comes before the end of the text.
    """
    match = _until_closed(inside).match(text, position)
    assert match is not None, "the pattern matches the empty text"
    end = match.end()
    for stop in (inside.closer, *inside.fields):
        if stop and text.startswith(stop, end):
            return end + len(stop), stop
    return (end if end < len(text) else None), ""


@cache
def _delimiters(syntax: Syntax) -> Mapping[str, Delimiter]:
    return {delimiter.opener: delimiter for delimiter in syntax.delimited}


@cache
def _openers(syntax: Syntax, around: Delimiter | None) -> re.Pattern[str]:
    """Matches what matters in code, which may be in a field of the string ``around``."""
    ends = [] if around is None else [closer for closer in (around.closer,) if not around.nests]
    ends += ["\n"] if around is not None and not around.multiline else []
    by_behind: dict[str, list[str]] = {"": [*ends, *BRACKETS, *_OPENERS]}
    for delimiter in syntax.delimited:
        by_behind.setdefault(delimiter.behind, []).append(delimiter.opener)
    # Nearly all characters are none of these, so one test must be enough for each character.
    begins = "".join(sorted({re.escape(text[0]) for texts in by_behind.values() for text in texts}))
    first = f"(?=[{begins}])"
    return re.compile(f"{first}(?:{'|'.join(behind + _any_of(texts) for behind, texts in by_behind.items())})")


def _any_of(texts: Iterable[str]) -> str:
    """An expression that matches the longest of ``texts`` and tests each character once."""
    rests: dict[str, list[str]] = {}
    for text in filter(None, texts):
        rests.setdefault(text[0], []).append(text[1:])
    branches = [
        re.escape(first) + (_any_of(rest) + ("?" if "" in rest else "") if any(rest) else "")
        for first, rest in rests.items()
    ]
    return f"(?:{'|'.join(branches)})"


@cache
def _until_closed(inside: Delimiter) -> re.Pattern[str]:
    """Matches up to what ends the delimiter or opens a field, or to the end of the text."""
    if not inside.closer:
        return re.compile(r"[^\n]*")
    fields = "|".join(map(re.escape, inside.fields))
    stops = "|".join(map(re.escape, (inside.closer, *inside.fields)))
    line_only = "" if inside.multiline else r"(?!\n)"
    escaped = r"\\(?s:.)|" if inside.kind == "string" else ""
    if "{" in inside.fields:  # written twice it is a brace, and a backslash does not change what it is
        escaped = r"\{\{|(?!\\\{)" + escaped
    elif fields and escaped:
        escaped = f"(?!{fields})" + escaped
    return re.compile(rf"(?:{escaped}(?!{stops}){line_only}(?s:.))*")
