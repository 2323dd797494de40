"""A model that goes round in circles is cut before the second round."""

import re

from lsp_server.filters.draft import Draft, is_telling

LONGEST_LOOP_LINES = 8
_SEARCHED_CHARACTERS = 4000
_WITHIN_A_LINE = re.compile(r"([^\n]{1,40}?)\1{5,}")
_SHORTEST = 24
"""Characters of a loop within a line. ``[0, 0, 0, 0, 0, 0]`` is code, and so are rulers of other characters."""


def without_loops(draft: Draft) -> str:
    """Cut where a line repeats a piece of itself six times, and where a run of lines comes again at once.

    A loop in a line below takes its line with it. In the cursor's own line what stands before the loop is kept: there
    may be the rest of a word that was begun. All of it, so that typing on along it leaves the same end.
    """
    text = draft.text
    if loop := next(filter(_is_idle, _WITHIN_A_LINE.finditer(text[:_SEARCHED_CHARACTERS])), None):
        above, below, line = text[: loop.start()].rpartition("\n")
        text = above if below else line
    lines = (draft.line_start + text).split("\n")
    return "\n".join(lines[: _second_round(lines)])[len(draft.line_start) :]


def _is_idle(loop: re.Match[str]) -> bool:
    return len(loop[0]) >= _SHORTEST and any(map(str.isalnum, loop[1]))


def _second_round(lines: list[str]) -> int:
    """The first line of a run that is the run before it; the number of lines if there is none."""
    for number in range(1, len(lines)):
        for length in range(1, min(LONGEST_LOOP_LINES, number, len(lines) - number) + 1):
            again = lines[number : number + length]
            if again == lines[number - length : number] and any(map(is_telling, again)):
                return number
    return len(lines)
