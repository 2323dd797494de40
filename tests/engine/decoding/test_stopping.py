"""Where a completion ends: golden cases, and for any split into tokens, text that was shown is never taken back."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config import LineMode, StopParams
from engine.decoding.stopping import StopTracker, block_end, indent_width, single_line_end
from engine.decoding.suffix_overlap import trim_suffix_overlap

GOLDEN = Path(__file__).parents[2] / "golden"


@dataclass(frozen=True)
class Golden:
    params: StopParams
    prefix: str
    suffix: str
    raw: bytes
    expected: str


def read_golden(path: Path) -> Golden:
    """See the format in ``tests/golden/README.md``."""
    # Read as bytes: reading as text would change the line breaks.
    head, document, raw, expected = re.split(r"^===== \w+\n", path.read_bytes().decode(), flags=re.MULTILINE)
    options = [line.split(": ", 1) for line in head.splitlines()]
    prefix, suffix = document.removesuffix("\n").split("█")
    stops = tuple(unescape(value).decode() for name, value in options if name == "stop")
    lines = next((value for name, value in options if name == "lines"), "single")
    params = StopParams(lines=cast("LineMode", lines), stop_strings=stops)
    return Golden(params, prefix, suffix, unescape(raw.removesuffix("\n")), expected.removesuffix("\n"))


def unescape(text: str) -> bytes:
    data = text.encode().replace(rb"\n", b"\n").replace(rb"\r", b"\r")
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), data)


def run(params: StopParams, line_prefix: str, pieces: Iterable[bytes]) -> tuple[StopTracker, list[str]]:
    """The tracker after all pieces, and what was decided after each piece."""
    tracker, decided = StopTracker(params, line_prefix), []
    for piece in pieces:
        reason = tracker.push(piece)
        assert reason == tracker.ended
        decided.append(tracker.decided)
        if reason is not None:
            break
    else:
        tracker.finish("length")
    return tracker, decided


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000], ids=lambda n: f"{n} bytes a token")
@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_golden(name, size):
    case = read_golden(GOLDEN / f"{name}.txt")
    pieces = [case.raw[i : i + size] for i in range(0, len(case.raw), size)]
    tracker, decided = run(case.params, case.prefix.rpartition("\n")[2], pieces)
    assert trim_suffix_overlap(tracker.text, case.suffix) == case.expected
    assert all(tracker.text.startswith(text) for text in decided)


# --- properties ------------------------------------------------------------------------------------------------------

code = st.text(alphabet="ab:)(\n\t \r\u3000\x0cé😀#", max_size=30)
lines_so_far = st.text(alphabet="ab \t(:", max_size=8)
cuts = st.lists(st.integers(min_value=0), max_size=30)
stops = st.lists(st.text(alphabet="ab\n :é😀", min_size=1, max_size=4), max_size=3).map(tuple)
params = st.builds(StopParams, lines=st.sampled_from(["single", "multi"]), stop_strings=stops)


@given(code, lines_so_far, cuts, params)
@example("a\n\u3000b", "", [2, 5], StopParams(lines="multi"))
@example("a\n\x0cb", "  ", [2, 3], StopParams(lines="multi"))
@example("a  \n b", "  ", [1, 2, 3, 4], StopParams(lines="multi"))
def test_what_is_decided_is_never_taken_back(text, line_prefix, cuts, params):
    tracker, decided = run(params, line_prefix, split(text.encode(), cuts))
    for earlier, later in pairwise([*decided, tracker.text]):
        assert later.startswith(earlier)


@given(code, lines_so_far, cuts, params)
def test_the_end_is_a_beginning_of_what_was_written(text, line_prefix, cuts, params):
    tracker, _ = run(params, line_prefix, split(text.encode(), cuts))
    assert text.startswith(tracker.text)
    assert tracker.ended is not None
    assert not any(stop in tracker.text for stop in params.stop_strings)
    if params.lines == "single":
        assert not set("\r\n") & set(tracker.text)


@given(code, st.text(alphabet="ab:é😀", min_size=1, max_size=4), cuts)
@example("x😀a", "😀", [1, 2, 3, 4])
def test_a_stop_string_may_span_tokens(text, stop, cuts):
    text += stop + "b"
    tracker, _ = run(StopParams(lines="multi", stop_strings=(stop,)), "", split(text.encode(), cuts))
    if tracker.ended == "stop-string":
        assert tracker.text == text[: text.index(stop)]
    else:
        assert tracker.ended == "block"
        assert len(tracker.text) < text.index(stop)


@given(code, lines_so_far, cuts, st.sampled_from(["single", "multi"]))
def test_the_split_into_tokens_does_not_matter(text, line_prefix, cuts, lines):
    whole, _ = run(StopParams(lines=lines), line_prefix, [text.encode()])
    pieces, _ = run(StopParams(lines=lines), line_prefix, split(text.encode(), cuts))
    assert (pieces.text, pieces.ended) == (whole.text, whole.ended)


pieces_with_probability = st.lists(st.tuples(st.text(alphabet="ab_ (\né", max_size=4), st.floats(0.01, 1)), max_size=8)


@given(pieces_with_probability, st.floats(0.01, 1), st.sampled_from(["single", "multi"]))
@example([("ab", 1.0), ("b", 0.1)], 0.5, "single")
@example([("a\n", 1.0), (" b", 0.1)], 0.5, "multi")
@example([("\n_", 1.0), ("_", 0.5)], 1.0, "multi")
@example([("a \n b_", 1.0), ("_", 0.5)], 1.0, "multi")
def test_what_is_written_with_confidence_is_as_probable_as_asked_and_never_taken_back(pieces, least, lines):
    tracker, decided, probability = StopTracker(StopParams(lines=lines, min_confidence=least), ""), [""], 1.0
    certain = StopTracker(StopParams(lines=lines), "")
    for text, share in pieces:
        probability *= share
        reason = tracker.push(text.encode(), math.log(share))
        if reason == "doubt":
            assert probability < least * (1 + 1e-9)
            break
        assert certain.push(text.encode()) == reason
        if reason is not None:
            break
        assert probability >= least * (1 - 1e-9)
        assert tracker.text == certain.text
        decided.append(tracker.decided)
    for earlier, later in pairwise([*decided, tracker.text]):
        assert later.startswith(earlier)
    assert certain.text.startswith(tracker.text)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_the_beginning_of_a_stop_string_is_held_back_until_it_turns_out_to_be_none():
    tracker = StopTracker(StopParams(stop_strings=("END",)), "")
    shown = []
    for piece in (b"x", b"E", b"N", b"E", b"n"):
        tracker.push(piece)
        shown.append(tracker.decided)
    assert shown == ["x", "x", "x", "xEN", "xENEn"]
    tracker.push(b"EN")
    tracker.finish("length")
    assert tracker.decided == tracker.text == "xENEnEN"


def test_of_two_ends_the_first_in_the_text_counts():
    tracker = StopTracker(StopParams(stop_strings=("b", "a")), "")
    assert tracker.push(b"xxab\n") == "stop-string"
    assert tracker.text == "xx"
    tracker = StopTracker(StopParams(stop_strings=("b",)), "")
    assert tracker.push(b"x\nb") == "line"


def test_a_reason_from_outside_does_not_replace_one_in_the_text():
    tracker = StopTracker(StopParams(), "")
    tracker.push(b"a\n")
    tracker.finish("length")
    assert (tracker.ended, tracker.text) == ("line", "a")
    with pytest.raises(AssertionError):
        tracker.push(b"b")


def test_an_unfinished_character_is_never_shown():
    tracker = StopTracker(StopParams(), "")
    tracker.push("é😀".encode()[:4])
    tracker.finish("length")
    assert tracker.text == "é"


@pytest.mark.parametrize(
    ("line", "width"), [("", 0), ("x", 0), ("  x", 2), ("\tx", 8), ("  \tx", 8), ("\t x", 9), ("        \tx", 16)]
)
def test_indentation_counts_tabs_to_the_next_multiple_of_eight(line, width):
    assert indent_width(line) == width


@pytest.mark.parametrize(
    ("text", "end"), [("", None), ("ab", None), ("a\nb", 1), ("a\r\nb", 1), ("\r", 0), ("a\rb\n", 1)]
)
def test_the_end_of_a_line(text, end):
    assert single_line_end(text) == end


def test_white_space_alone_decides_no_block():
    assert block_end("\n    a\n", "def f():") is None
    assert block_end("\n    a\n  ", "def f():") is None
    assert block_end("\n    a\nb", "def f():") == len("\n    a")


# --- doubt within words ----------------------------------------------------------------------------------------------

words = st.text(alphabet="aя어नاा日é_1", min_size=1, max_size=6)


@given(words, words, cuts)
@example("имя_ф", "айла", [1, 5])
@example("어_", "글", [1])
@example("न", "ाम", [])
def test_doubt_never_leaves_half_a_word(before, after, at):
    """Wherever the token boundaries are, also inside a character, the doubtful word is left out."""
    sure = split(before.encode(), at)
    for cut in range(1, len(after.encode()) + 1):
        tracker = StopTracker(StopParams(min_confidence=0.5), "")
        tracker.push(b"x = ", 0.0)
        for piece in sure:
            tracker.push(piece, 0.0)
        assert tracker.push(after.encode()[:cut], math.log(0.1)) == "doubt"
        assert tracker.text == "x = "


@pytest.mark.parametrize("doubted", ["(", " я", "\n"])
def test_a_word_that_ended_stays(doubted):
    tracker = StopTracker(StopParams(min_confidence=0.5), "")
    tracker.push("имя".encode(), 0.0)
    tracker.push(doubted.encode(), math.log(0.1))
    assert tracker.text == "имя"
