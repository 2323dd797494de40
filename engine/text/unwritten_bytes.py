"""Characters that a vocabulary cannot write, because one of their bytes has no entry, and the characters that replace
them.

SmolLM2's vocabulary has no entry for 21 bytes, eight of which occur in UTF-8: six control characters and the first
bytes of planes that are almost empty. A document with such a character can still be completed: the model reads another
character with the same number of bytes, so positions do not change. The document itself is never changed. The tail
begins after the last such character.
"""

from collections.abc import Collection

# Candidates by their length in UTF-8. The first one that the vocabulary can write is used.
_STAND_INS = {1: "?_ x", 2: "§·éа", 3: "\ufffd中€", 4: "😀🟦𝐀"}


class UnwrittenBytes:
    """The bytes without an entry of one vocabulary."""

    def __init__(self, missing: Collection[int], whole: Collection[str] = ()) -> None:
        """``whole`` are characters that have an entry of their own, even if their bytes have none."""
        self._missing = bytes(sorted(missing))
        self._whole = frozenset(whole)
        self._stand_ins = {
            length: next((character for character in characters if self._writes(character)), "")
            for length, characters in _STAND_INS.items()
        }

    def readable(self, text: str) -> str:
        """The text with each unwritable character replaced by another one with as many bytes."""
        if not self._concerns(text):
            return text
        return "".join([character if self._writes(character) else self._stand_in(character) for character in text])

    def end_of_last(self, text: str) -> int:
        """Where the last character that cannot be written ends; 0 if there is none."""
        if not self._concerns(text):
            return 0
        return next((at for at in range(len(text), 0, -1) if not self._writes(text[at - 1])), 0)

    def _concerns(self, text: str) -> bool:
        if not self._missing:
            return False
        data = text.encode("utf-8", "surrogatepass")
        return len(data.translate(None, self._missing)) < len(data)

    def _writes(self, character: str) -> bool:
        data = character.encode("utf-8", "surrogatepass")
        return character in self._whole or not any(byte in self._missing for byte in data)

    def _stand_in(self, character: str) -> str:
        length = len(character.encode("utf-8", "surrogatepass"))
        return self._stand_ins[length] or self._stand_ins[1] * length
