"""Turns the bytes of tokens into text that is valid UTF-8 at every point."""

import codecs


class Utf8Stream:
    """Decodes bytes as they come. Token boundaries fall inside characters, so an unfinished one is held back.

    Bytes that can never become a character are left out, because ghost text must not hold replacement characters.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def push(self, data: bytes) -> str:
        """The characters that ``data`` completes."""
        return self._decoder.decode(data)

    @property
    def is_whole(self) -> bool:
        """Whether no part of a character is held back."""
        return not self._decoder.getstate()[0]
