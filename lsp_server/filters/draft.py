"""What a filter is given and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lsp_server.code.scanner import State
from lsp_server.code.syntax import Syntax


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a completion before it is shown, and where it would stand: between ``prefix`` and ``suffix``.

    ``state`` is that of the code at the cursor.
    """

    text: str
    prefix: str
    suffix: str
    syntax: Syntax
    state: State

    @property
    def line_start(self) -> str:
        """The cursor's line before the cursor."""
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @property
    def line_rest(self) -> str:
        """The cursor's line after the cursor."""
        return self.suffix.partition("\n")[0]


Filter: TypeAlias = Callable[[Draft], str]
"""Returns the text as it should be shown; empty where nothing should be."""


def is_telling(line: str) -> bool:
    """Whether a line says enough for its repetition to be one: brackets and numbers alone come back in good code."""
    return sum(character.isalpha() for character in line) >= 2
