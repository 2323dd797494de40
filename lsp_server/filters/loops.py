"""A completion that repeats itself is cut before the second repetition."""

import re

from lsp_server.code.syntax import width
from lsp_server.filters.draft import Draft, is_telling

LONGEST_LOOP_LINES = 8
_SEARCHED_CHARACTERS = 4000
_LINES_ABOVE = 4
_WITHIN_A_LINE = re.compile(r"([^\n]{1,40}?)\1{5,}")
_SHORTEST = 24
"""Least length in characters of a loop inside a line, because ``[0, 0, 0, 0, 0, 0]`` is ordinary code."""
_PUNCTUATION = re.compile(r"([^\w\n]{2,8}?)\1{2,}")
_PAIRS = re.compile(r"[]()\[{}\"'`<>/.\s]")
"""Punctuation that repeats in good code, such as ``(), (), ()`` and ``../../../``."""
_ROUNDS_OF_PAIRS = 6


def without_loops(draft: Draft) -> str:
    """Cut where a line repeats a piece of itself six times, and where a run of lines is repeated directly. A repetition
    counts even if it is deeper each time, or shallower two times in a row.

    If the loop is in a later line, the whole line is removed. In the cursor's own line, all text before the loop is
    kept, because it may finish a word that was begun. Typing along it then gives the same end.
    """
    text = draft.text
    loops = [start for start in (_loop_in_line(text), _loop_of_punctuation(draft)) if start is not None]
    if loops:
        start = min(loops)
        above, below, line = text[:start].rpartition("\n")
        text = above if below else line
    above_cursor = [line for line in draft.prefix.split("\n")[-_LINES_ABOVE - 1 : -1] if line.strip()]
    lines = (draft.line_start + text).split("\n")
    end = min(_second_round(lines), _staircase(above_cursor, lines, draft))
    return "\n".join(lines[:end])[len(draft.line_start) :] if end else ""


def _loop_in_line(text: str) -> int | None:
    for loop in _WITHIN_A_LINE.finditer(text[:_SEARCHED_CHARACTERS]):
        if len(loop[0]) >= _SHORTEST and any(map(str.isalnum, loop[1])):
            return loop.start()
    return None


def _loop_of_punctuation(draft: Draft) -> int | None:
    """Where different punctuation characters repeat. A single repeated character is a ruler, and so is any
    repetition in a comment.
    """
    if draft.state.inside is not None and draft.state.inside.kind == "comment":
        return None
    written = len(draft.line_start)
    for loop in _PUNCTUATION.finditer(draft.line_start + draft.text[:_SEARCHED_CHARACTERS]):
        rounds = len(loop[0]) // len(loop[1])
        is_idle = len(set(loop[1])) > 1 and (rounds >= _ROUNDS_OF_PAIRS or not _PAIRS.search(loop[1]))
        if is_idle and loop.end() > written and not _is_in_comment(draft, loop.start() - written):
            return max(0, loop.start() - written)
    return None


def _is_in_comment(draft: Draft, at: int) -> bool:
    line = draft.line_start + draft.text[: max(0, at)]
    start = line.rfind("\n") + 1
    return bool(draft.syntax.comment) and draft.syntax.comment in line[start:]


def _second_round(lines: list[str]) -> int:
    """The first line of a run that repeats the run before it; the number of lines if there is none."""
    for number in range(1, len(lines)):
        for length in range(1, min(LONGEST_LOOP_LINES, number, len(lines) - number) + 1):
            again = lines[number : number + length]
            if again == lines[number - length : number] and any(map(is_telling, again)):
                return number
    return len(lines)


def _staircase(above: list[str], written: list[str], draft: Draft) -> int:
    """The index of the first written line that repeats a line one step further out or in; their number if there is
    none. Lines above are not counted.
    """
    lines, first = above + written, len(above)
    for number in range(max(1, first), len(lines)):
        for length in range(1, min(LONGEST_LOOP_LINES, number) + 1):
            turns = _turns(lines, number, length)
            if turns and all(turn > 0 for turn in turns):  # deeper
                needed = 1 if _is_code(lines[number], draft) else 2
            elif turns and all(turn < 0 for turn in turns):
                needed = 2
            else:
                continue
            if len(turns) >= needed:
                return max(number - (len(turns) - 1) * length, first) - first
    return len(written)


def _turns(lines: list[str], number: int, length: int) -> list[int]:
    """By how many columns each run of ``length`` lines up to ``number`` is shifted, as long as the runs are
    otherwise equal.
    """
    turns: list[int] = []
    start = number
    while start - length >= 0 and number + length <= len(lines):
        one, other = lines[start - length : start], lines[start : start + length]
        said = [line.strip() for line in one]
        if said != [line.strip() for line in other] or not any(map(is_telling, said)):
            break
        turns.append(width(other[0]) - width(one[0]))
        start -= length
    return turns


def _is_code(line: str, draft: Draft) -> bool:
    """Whether a line followed by itself, deeper, makes no sense. In markup and data it can."""
    return draft.syntax.blocks == "indent" and not draft.syntax.items
