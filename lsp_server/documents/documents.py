"""The text of an open document, as the client has it.

Lines end in ``\\n``, ``\\r\\n`` or ``\\r`` and nowhere else, as the protocol says. `str.splitlines` would also split at
form feeds, NEL and U+2028, after which every position below them is wrong.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LineStarts: TypeAlias = NDArray[np.int64]
"""Character indices at which lines start, ascending; the first is 0. ``[lines] int64``"""

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One version of one document. Edits make a new value, so that a running request keeps the text it was given."""

    uri: str
    language: str
    version: int
    text: str
    line_starts: LineStarts

    @classmethod
    def create(cls, uri: str, language: str, version: int, text: str) -> "Document":
        """A document with the given text."""
        return cls(uri, language, version, text, _all_line_starts(text))

    @property
    def lines(self) -> int:
        """Number of lines. An empty document has one line, and so has the text after the last line break."""
        return len(self.line_starts)

    def line_span(self, line: int) -> tuple[int, int]:
        """Start and end of a line as character indices, its line break left out."""
        start = int(self.line_starts[line])
        if line + 1 == self.lines:
            return start, len(self.text)
        end = int(self.line_starts[line + 1]) - 1
        if self.text[end] == "\n" and end > start and self.text[end - 1] == "\r":
            end -= 1
        return start, end

    def line_at(self, index: int) -> int:
        """The line with the character at ``index``; the end of the text is on the last line."""
        return int(np.searchsorted(self.line_starts, index, side="right")) - 1

    def line_break_near(self, line: int) -> str:
        """The line break that text inserted on ``line`` should use: that of the line before, or of the line itself."""
        for candidate in (line - 1, line):
            if 0 <= candidate < self.lines - 1:
                return self.text[self.line_span(candidate)[1] : int(self.line_starts[candidate + 1])]
        return "\n"

    def edit(self, start: int, end: int, text: str, version: int) -> "Document":
        """Replace the characters from ``start`` up to ``end``. Costs one copy of the text, however long its lines."""
        whole = "".join((self.text[:start], text, self.text[end:]))
        starts = self.line_starts
        # Whether a line starts at p depends only on the characters at p - 1 and p. So starts before the edit stay,
        # those after it move, and only the places from its first to its last boundary are checked again.
        kept = starts[: np.searchsorted(starts, start, side="left")]
        moved = starts[np.searchsorted(starts, end, side="right") :] + (len(text) - (end - start))
        fresh = np.fromiter(_line_starts_within(whole, start, start + len(text)), dtype=np.int64)
        return Document(self.uri, self.language, version, whole, np.concatenate((kept, fresh, moved)))

    def edit_backwards(self, edits: Sequence[tuple[int, int, str]], version: int) -> "Document":
        """Apply edits ``(start, end, text)``, each of which is before the previous one, in one pass over the text.

        A client that replaces every match of a search sends thousands of edits at once, last one first; a copy of the
        whole text for each would be quadratic.
        """
        pieces: list[str] = []
        upper = len(self.text)
        for start, end, text in edits:
            assert start <= end <= upper, "the edits overlap or are out of order"
            pieces += (self.text[end:upper], text)
            upper = start
        pieces.append(self.text[:upper])
        return Document.create(self.uri, self.language, version, "".join(reversed(pieces)))


def _all_line_starts(text: str) -> LineStarts:
    return np.fromiter(_line_starts_within(text, 0, len(text)), dtype=np.int64)


def _line_starts_within(text: str, low: int, high: int) -> Iterator[int]:
    """Every line start p of ``text`` with ``low <= p <= high``."""
    if low == 0:
        yield 0
    # One more character on each side: the line break that ends at low, and the "\n" that may follow a "\r" at high.
    for match in _LINE_BREAK.finditer(text, max(low - 1, 0), min(high + 1, len(text))):
        if low <= match.end() <= high and match.end() > 0:
            yield match.end()
