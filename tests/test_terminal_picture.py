"""Screens of a terminal as an SVG: looks, colours, places, and when each frame is visible."""

import xml.etree.ElementTree as ET

import pytest

from tools.terminal_picture import INK, PAPER, Frame, Look, picture, runs_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("line", "runs", "after"),
    [
        ("plain", [("plain", Look())], Look()),
        ("", [], Look()),
        (
            "\x1b[1;3ma\x1b[22mb\x1b[0mc",
            [("a", Look(bold=True, italic=True)), ("b", Look(italic=True)), ("c", Look())],
            Look(),
        ),
        ("\x1b[31ma\x1b[39mb", [("a", Look(ink="#b3261e")), ("b", Look())], Look()),
        ("\x1b[38;2;1;2;255ma", [("a", Look(ink="#0102ff"))], Look(ink="#0102ff")),
        ("\x1b[48;5;16ma", [("a", Look(paper="#000000"))], Look(paper="#000000")),
        ("\x1b[38;5;231ma", [("a", Look(ink="#ffffff"))], Look(ink="#ffffff")),
        ("\x1b[38;5;232;7ma", [("a", Look(ink="#080808", reverse=True))], Look(ink="#080808", reverse=True)),
        ("\x1b[ma\x1b[38;5mb\x1b[58mc", [("a", Look()), ("b", Look()), ("c", Look())], Look()),
    ],
)
def test_runs_have_the_look_that_the_terminal_asked_for(line: str, runs: list[tuple[str, Look]], after: Look):
    assert runs_of(line) == (runs, after)


def test_each_row_is_drawn_once_for_as_long_as_it_stays():
    frames = [Frame("a < b\n  \x1b[7mc", (5, 0), 1.0), Frame("a < b\nd", (1, 0), 3.0)]
    drawn = ET.fromstring(picture(frames, 10, 2, "A & B"))
    assert drawn.findtext(f"{SVG}title") == "A & B"
    style = drawn.findtext(f"{SVG}style") or ""
    seen = {}
    for group in drawn.findall(f"{SVG}g"):
        name = str(group.attrib["id"]).removeprefix("f")
        marks = style.split(f"@keyframes k{name}{{", 1)[1].split("}}", 1)[0] + "}"
        for text in group.iter(f"{SVG}text"):
            seen[str(text.text)] = (marks, float(text.attrib["x"]), text.attrib["style"], group.attrib["class"])
    assert list(seen) == ["a < b", "c", "d"]
    assert seen["a < b"] == ("0.000%{opacity:1}", 12.0, f"fill:{INK}", "f last")
    assert seen["c"] == ("0.000%{opacity:1}25.000%{opacity:0}", 12.0 + 2 * 8.4, f"fill:{PAPER}", "f")
    assert seen["d"] == ("0.000%{opacity:0}25.000%{opacity:1}", 12.0, f"fill:{INK}", "f last")


@pytest.mark.parametrize("frames", [[], [Frame("a", (0, 0), 0.0)]])
def test_a_picture_of_nothing(frames: list[Frame]):
    with pytest.raises(ValueError, match="needs frames"):
        picture(frames, 10, 2, "nothing")
