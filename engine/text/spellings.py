"""How entries of a vocabulary spell bytes: the byte-level alphabet, SentencePiece's spaces and fallback bytes."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

SPACE_MARK = "▁"
"""What SentencePiece writes for a space."""
FALLBACK = re.compile(r"<0x([0-9A-F]{2})>\Z")
"""The spelling of an entry that stands for one byte in SentencePiece-style vocabularies."""


def byte_alphabet() -> str:
    """The GPT-2 alphabet: the character at index b spells byte b.

    Printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 onwards: 0x20 is ``Ġ``.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


def byte_level_bytes(spellings: Sequence[str]) -> list[bytes]:
    """The bytes of byte-level entries. They are translated together: one character is one byte, so the lengths stay."""
    table = {ord(character): byte for byte, character in enumerate(byte_alphabet())}
    translation: dict[int, int | str] = dict(table)
    # A Latin-1 character that is not in the alphabet must not be taken for a byte.
    translation |= {code: "\uffff" for code in range(256) if code not in table}
    try:
        data = "".join(spellings).translate(translation).encode("latin-1")
    except UnicodeEncodeError:
        return [_spelled_bytes(text, table) for text in spellings]
    ends = np.cumsum(np.fromiter(map(len, spellings), np.int64, len(spellings))).tolist()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _spelled_bytes(text: str, table: Mapping[int, int]) -> bytes:
    try:
        return bytes([table[ord(character)] for character in text])
    except KeyError:
        # Encoding never returns it. Its bytes are its text, as the library decodes it.
        return text.encode()


def sentencepiece_bytes(spellings: Sequence[str]) -> list[bytes]:
    """The bytes of SentencePiece-style entries."""
    return [
        bytes([int(match[1], 16)]) if (match := FALLBACK.match(text)) else text.replace(SPACE_MARK, " ").encode()
        for text in spellings
    ]
