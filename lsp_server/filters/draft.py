"""What a filter is given and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lsp_server.code.scanner import Scanner, State
from lsp_server.code.syntax import Syntax


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a completion before it is shown, and where it would stand: between ``prefix`` and ``suffix``.

    ``state`` is that of the code at the cursor; ``several_lines`` says that the user wants them everywhere,
    ``broken_off`` that the text stopped for lack of time or length. ``along`` is how sure the model is of each
    beginning of the text (`engine.Completion.along`); it is empty if that is not known, and then everything counts as
    certain. ``elsewhere`` are the names in other open documents.
    """

    text: str
    prefix: str
    suffix: str
    syntax: Syntax
    state: State
    several_lines: bool = False
    broken_off: bool = False
    along: tuple[tuple[int, float], ...] = ()
    elsewhere: tuple[frozenset[str], ...] = ()

    @property
    def line_start(self) -> str:
        """The cursor's line before the cursor."""
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @property
    def line_rest(self) -> str:
        """The cursor's line after the cursor."""
        return self.suffix.partition("\n")[0]


Filter: TypeAlias = Callable[[Draft], str]
"""Returns the text as it should be shown; empty if nothing should be shown."""


def is_telling(line: str) -> bool:
    """Whether a line has enough content for a repetition to count. Lines of only brackets and numbers repeat in
    good code.
    """
    return sum(character.isalpha() for character in line) >= 2


LOOKED_AHEAD_CHARACTERS = 20_000


def left_open(draft: Draft, state: State, ahead: int = LOOKED_AHEAD_CHARACTERS) -> int:
    """How many of the brackets and strings that are open in ``state`` are not closed by the text after the cursor.

    ``ahead`` characters of that text are read.
    """
    left = state.depth
    if left:
        for _ in Scanner(draft.syntax, state).closings(draft.suffix[:ahead]):
            left -= 1
            if not left:
                break
    return left
