"""Bytes that are not valid UTF-8: a character cut by a token boundary, or bytes that never were text."""

from collections.abc import Iterator
from dataclasses import dataclass

REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class PlaceheldText:
    """Text with a placeholder character for every invalid stretch of ``source``.

    ``positions[i]`` is the position in ``source`` of byte i of the text's UTF-8; inside a placeholder it is where the
    stretch begins.
    """

    text: str
    source: bytes
    positions: tuple[int, ...]

    def data(self, start: int, end: int) -> bytes:
        """The source bytes for the bytes ``start`` to ``end`` of the text. Both must be character boundaries."""
        return self.source[self.positions[start] : self.positions[end]]


def hold_places(data: bytes) -> PlaceheldText:
    """Put a placeholder for every invalid stretch, so that a pre-tokenizer can read the rest.

    For example ``b"a \\xe4\\xb8"`` becomes ``"a 丿"``: that letter begins with the same two bytes.
    """
    text: list[str] = []
    positions: list[int] = []
    at = 0
    for piece in _stretches(data):
        if isinstance(piece, str):
            text.append(piece)
            length = len(piece.encode())
            positions += range(at, at + length)
        else:
            length = len(piece)
            cut_short = at + length == len(data)
            text.append((cut_short and _completed(piece)) or REPLACEMENT)
            positions += [at] * len(text[-1].encode())
        at += length
    return PlaceheldText("".join(text), data, (*positions, at))


def valid_pieces(data: bytes) -> Iterator[str | int]:
    """The longest valid stretches of ``data`` as text, the bytes between them as numbers."""
    for piece in _stretches(data):
        if isinstance(piece, str):
            yield piece
        else:
            yield from piece


def _stretches(data: bytes) -> Iterator[str | bytes]:
    at = 0
    while at < len(data):
        try:
            yield data[at:].decode()
        except UnicodeDecodeError as error:
            if error.start:
                yield data[at : at + error.start].decode()
            yield data[at + error.start : at + error.end]
            at += error.end
        else:
            return


def _completed(beginning: bytes) -> str | None:
    """The last character whose UTF-8 starts with ``beginning``, None if there is none.

    The last and not the first, because it is a letter if the others are letters. For the bytes with which emoji begin,
    it is U+3FFFF, which is in no class.
    """
    lead = beginning[0]
    length = 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if 0xF0 <= lead < 0xF5 else 0
    # The second byte is limited for the lead bytes of surrogates and of the end of Unicode.
    second = {0xED: b"\x9f", 0xF4: b"\x8f"}.get(lead, b"\xbf")
    rest = (second + b"\xbf\xbf")[len(beginning) - 1 : length - 1]
    try:
        character = (beginning + rest).decode()
    except UnicodeDecodeError:
        return None
    return character if len(character) == 1 else None
