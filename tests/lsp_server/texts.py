"""Text that often causes mistakes, and slow, obvious ways to count in it."""

from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.documents.positions import PositionEncoding

PIECES = (
    "a", "xyz", "_", " ", "\t", "\n", "\r", "\r\n", "\f", "\v", "\x1c", "\x85", "\u2028", "\u2029",
    "é", "e\u0301", "广", "\uffff", "😀", "👨\u200d👩\u200d👧", "𝒳",
)  # fmt: skip

texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
encodings = st.sampled_from(("utf-8", "utf-16", "utf-32"))


def slow_units(character: str, encoding: PositionEncoding) -> int:
    width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    return len(character.encode(f"{encoding}-le" if encoding != "utf-8" else encoding, "surrogatepass")) // width


def slow_lines(text: str) -> list[tuple[int, int, int]]:
    """For each line: its start, its end without the line break, its end with it."""
    lines = []
    start = index = 0
    while index < len(text):
        length = 2 if text[index : index + 2] == "\r\n" else 1 if text[index] in "\r\n" else 0
        if length:
            lines.append((start, index, index + length))
            start = index + length
        index += length or 1
    return [*lines, (start, len(text), len(text))]


def slow_position(text: str, index: int, encoding: PositionEncoding) -> types.Position:
    """The client's position of the character at an index. An index inside a line break means the end of the line."""
    for number, (start, end, upper) in enumerate(slow_lines(text)):
        if index < upper or upper == len(text) == end:
            within = text[start : min(index, end)]
            return types.Position(number, sum(slow_units(character, encoding) for character in within))
    raise AssertionError("the index is outside the text")


def slow_index(text: str, position: types.Position, encoding: PositionEncoding) -> int:
    """The index of a position, exactly by the rules: one code unit after the other."""
    lines = slow_lines(text)
    if position.line >= len(lines):
        return len(text)
    start, end, _ = lines[position.line]
    left, index = position.character, start
    while index < end and slow_units(text[index], encoding) <= left:
        left -= slow_units(text[index], encoding)
        index += 1
    return index
