"""Positions of the protocol and character indices: the only place that converts between them.

A position counts the code units of UTF-8, UTF-16 or UTF-32 from the start of its line. One past the end of its line
means the end of the line, one past the last line the end of the document, and one in the middle of a character the
start of that character. A lone surrogate, which JSON can carry, counts as a character.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np
from lsprotocol import types

from lsp_server.documents.documents import Document

PositionEncoding: TypeAlias = Literal["utf-8", "utf-16", "utf-32"]
ENCODINGS: tuple[PositionEncoding, ...] = get_args(PositionEncoding)


def negotiated_encoding(capabilities: types.ClientCapabilities) -> PositionEncoding:
    """The client's preferred encoding of the three that we support; UTF-16 if it names none."""
    offered = (capabilities.general and capabilities.general.position_encodings) or ()
    for name in offered:
        for encoding in ENCODINGS:
            if name == encoding:
                return encoding
    return "utf-16"


def index_of(document: Document, position: types.Position, encoding: PositionEncoding) -> int:
    """The character index that a position means, by the clamping rules above."""
    if position.line >= document.lines:
        return len(document.text)
    start, end = document.line_span(position.line)
    # A character has at least one unit in every encoding, so at most as many characters as units can matter.
    line = document.text[start : min(end, start + position.character)]
    return start + characters_of(line, position.character, encoding)


def characters_of(text: str, count: int, encoding: PositionEncoding) -> int:
    """How many whole characters are in the first ``count`` code units of a text."""
    if encoding == "utf-32" or text.isascii():
        return max(0, min(count, len(text)))
    ends = np.cumsum(_unit_counts(text, encoding))
    return int(np.searchsorted(ends, count, side="right"))


def position_of(document: Document, index: int, encoding: PositionEncoding) -> types.Position:
    """The position of the character at ``index``; between ``\\r`` and ``\\n`` it is the end of the line."""
    line = document.line_at(index)
    start, end = document.line_span(line)
    return types.Position(line, units(document.text[start : min(index, end)], encoding))


def range_of(document: Document, start: int, end: int, encoding: PositionEncoding) -> types.Range:
    """The range of the characters from ``start`` up to ``end``."""
    return types.Range(position_of(document, start, encoding), position_of(document, end, encoding))


def span_of(document: Document, span: types.Range, encoding: PositionEncoding) -> tuple[int, int]:
    """The character indices of a range, in order even if the client swapped them."""
    start, end = index_of(document, span.start, encoding), index_of(document, span.end, encoding)
    return min(start, end), max(start, end)


def units(text: str, encoding: PositionEncoding) -> int:
    """The length of a text in code units of the encoding."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    return int(_unit_counts(text, encoding).sum())


def _unit_counts(text: str, encoding: PositionEncoding) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Code units of each character: ``[characters] int64``."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    bounds = (0x10000,) if encoding == "utf-16" else (0x80, 0x800, 0x10000)
    counts = np.ones(len(points), dtype=np.int64)
    for bound in bounds:
        counts += points >= bound
    return counts
