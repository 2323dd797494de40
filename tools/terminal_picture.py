"""An animated picture of a terminal: the screens of ``tmux capture-pane -e`` become one SVG that shows them in turn.

An SVG of text stays sharp, needs no player and is small. It moves by CSS alone, so it also moves as an image in a
README. Text lies on a fixed grid: a run of cells with one look is one element, stretched to the width of its cells.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate, groupby
from typing import TypeAlias

CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 12
PAPER, INK, CURSOR = "#fbfbfb", "#1f2328", "#1f232880"
BASIC = ("#1f2328", "#b3261e", "#116329", "#7d4e00", "#0550ae", "#8250df", "#0b6e78", "#57606a")
BRIGHT = ("#6e7781", "#cf222e", "#1a7f37", "#9a6700", "#218bff", "#a475f9", "#3192aa", "#8c959f")
_LEVELS = (0, 95, 135, 175, 215, 255)
_CODE = re.compile(r"\x1b\[([\d;]*)m")


@dataclass(frozen=True, slots=True)
class Look:
    """How a cell looks; a colour of None is the terminal's own."""

    ink: str | None = None
    paper: str | None = None
    bold: bool = False
    italic: bool = False
    reverse: bool = False


Switch: TypeAlias = Callable[[Look], Look]


@dataclass(frozen=True, slots=True)
class Frame:
    """One screen, the cell of its cursor (column, row; from 0) and how long it is shown."""

    screen: str
    cursor: tuple[int, int]
    seconds: float


def picture(frames: Sequence[Frame], columns: int, rows: int, title: str) -> str:
    """The SVG of ``frames``, which repeats without end. ``title`` is read to those who cannot see it.

    Raises:
        ValueError: there is no frame, or one has no duration.
    """
    if not frames or any(frame.seconds <= 0 for frame in frames):
        raise ValueError("a picture needs frames, each with a duration above 0")
    width, height = columns * CELL_WIDTH + 2 * MARGIN, rows * CELL_HEIGHT + 2 * MARGIN
    ends = list(accumulate(frame.seconds for frame in frames))
    style = [f"text{{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:{INK};white-space:pre}}"]
    groups = []
    for number, (shapes, first, last) in enumerate(_spans([_rows(frame, rows) for frame in frames])):
        start, end = (100 * at / ends[-1] for at in (ends[first] - frames[first].seconds, ends[last]))
        style.append(_shown_between(number, start, end, ends[-1]))
        at_last = " last" if last == len(frames) - 1 else ""
        groups.append(f'<g class="f{at_last}" id="f{number}">{shapes}</g>')
    still = "@media (prefers-reduced-motion:reduce){.f{animation:none!important}.last{opacity:1}}"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{''.join(style)}.f{{opacity:0}}{still}</style>",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{PAPER}" stroke="#d0d7de"/>',
            *groups,
            "</svg>\n",
        )
    )


def runs_of(line: str, look: Look = Look()) -> tuple[list[tuple[str, Look]], Look]:
    """A line's text in pieces of one look each, and the look after its end, with which the next line begins."""
    runs = []
    at = 0
    for code in _CODE.finditer(line):
        if code.start() > at:
            runs.append((line[at : code.start()], look))
        look, at = _changed(look, [int(part or 0) for part in code[1].split(";")]), code.end()
    if at < len(line):
        runs.append((line[at:], look))
    return runs, look


def _shown_between(number: int, start: float, end: float, total: float) -> str:
    """The rule by which a group is visible from ``start`` to ``end`` per cent of all the time."""
    steps = [(0.0, int(start == 0)), (start, 1)] if start else [(0.0, 1)]
    steps += [(end, 0)] if end < 100 else []
    marks = "".join(f"{at:.3f}%{{opacity:{shown}}}" for at, shown in steps)
    return f"#f{number}{{animation:k{number} {total:g}s step-end infinite}}@keyframes k{number}{{{marks}}}"


def _spans(screens: Sequence[Sequence[str]]) -> Iterator[tuple[str, int, int]]:
    """Each drawing of a row that is not empty, with its first and last frame: a row that stays is drawn once."""
    for drawings in zip(*screens, strict=True):
        first = 0
        for shapes, same in groupby(drawings):
            last = first + len(list(same)) - 1
            if shapes:
                yield shapes, first, last
            first = last + 1


def _rows(frame: Frame, rows: int) -> list[str]:
    """The drawing of each row, and at the end that of the cursor."""
    look, drawn = Look(), [""] * rows
    for row, line in enumerate(frame.screen.split("\n")[:rows]):
        runs, look = runs_of(line, look)
        column = 0
        for text, own in runs:
            drawn[row] += "".join(_run(text, own, column, row))
            column += len(text)
    return [*drawn, f'<rect {_box(*frame.cursor, 2 / CELL_WIDTH)} fill="{CURSOR}"/>']


def _run(text: str, look: Look, column: int, row: int) -> list[str]:
    ink, paper = look.ink or INK, look.paper or PAPER
    if look.reverse:
        ink, paper = paper, ink
    made = [f'<rect {_box(column, row, len(text))} fill="{paper}"/>'] if paper != PAPER else []
    shown = text.rstrip(" ")
    if not shown:
        return made
    column += len(shown) - len(shown.lstrip(" "))
    shown = shown.lstrip(" ")
    place = f'x="{MARGIN + column * CELL_WIDTH:g}" y="{MARGIN + (row + 0.75) * CELL_HEIGHT:g}"'
    long = f'textLength="{len(shown) * CELL_WIDTH:g}"'
    fonts = (' font-weight="bold"' if look.bold else "") + (' font-style="italic"' if look.italic else "")
    return [*made, f'<text {place} {long} style="fill:{ink}"{fonts}>{escape(shown)}</text>']


def _box(column: int, row: int, cells: float) -> str:
    at = f'x="{MARGIN + column * CELL_WIDTH:g}" y="{MARGIN + row * CELL_HEIGHT:g}"'
    return f'{at} width="{cells * CELL_WIDTH:g}" height="{CELL_HEIGHT}"'


def _changed(look: Look, codes: list[int]) -> Look:
    """The look after one escape sequence (ECMA-48, "select graphic rendition", with 256 and true colours)."""
    while codes:
        code = codes.pop(0)
        if code in (38, 48):
            colour, codes = _wide_colour(codes)
            look = replace(look, ink=colour) if code == 38 else replace(look, paper=colour)
        elif code == 0:
            look = Look()
        else:
            look = _SWITCHES[code](look) if code in _SWITCHES else look
    return look


def _wide_colour(codes: list[int]) -> tuple[str | None, list[int]]:
    """The colour of ``5;N`` or ``2;R;G;B``, and the codes behind it."""
    if codes[:1] == [2] and len(codes) >= 4:
        red, green, blue = codes[1:4]
        return f"#{red:02x}{green:02x}{blue:02x}", codes[4:]
    if codes[:1] != [5] or len(codes) < 2:
        return None, []
    number, rest = codes[1], codes[2:]
    if number < 16:
        return (BASIC + BRIGHT)[number], rest
    if number >= 232:
        return f"#{8 + 10 * (number - 232):02x}" + f"{8 + 10 * (number - 232):02x}" * 2, rest
    levels = (_LEVELS[(number - 16) // step % 6] for step in (36, 6, 1))
    return "#" + "".join(f"{level:02x}" for level in levels), rest


def _ink(colour: str | None) -> Switch:
    return lambda look: replace(look, ink=colour)


def _paper(colour: str | None) -> Switch:
    return lambda look: replace(look, paper=colour)


_SWITCHES: Mapping[int, Switch] = {
    1: lambda look: replace(look, bold=True),
    3: lambda look: replace(look, italic=True),
    7: lambda look: replace(look, reverse=True),
    22: lambda look: replace(look, bold=False),
    23: lambda look: replace(look, italic=False),
    27: lambda look: replace(look, reverse=False),
    39: _ink(None),
    49: _paper(None),
    **{30 + number: _ink(colour) for number, colour in enumerate(BASIC)},
    **{40 + number: _paper(colour) for number, colour in enumerate(BASIC)},
    **{90 + number: _ink(colour) for number, colour in enumerate(BRIGHT)},
    **{100 + number: _paper(colour) for number, colour in enumerate(BRIGHT)},
}
