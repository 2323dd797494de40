"""When typing leads from one place to another."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.scheduling.cursor_context import (
    LOOK_BACK_CHARACTERS,
    PREFIX_CHARACTERS,
    SUFFIX_CHARACTERS,
    Asker,
    CursorContext,
    Typed,
    agree,
    cursor_context,
    typed_into,
    typed_since,
)
from lsp_server.settings import Settings

ASKER = Asker(Settings(), 1, 1, automatic=True)
BEFORE = "x = 1\n" * 600
AFTER = "\ny = 2" * 300


def at(prefix: str, suffix: str = "\n", uri: str = "file:///a.py") -> CursorContext:
    return cursor_context(uri, ASKER, BEFORE + prefix, suffix + AFTER)


def test_what_was_typed_between_two_places():
    assert typed_since(at("import n"), at("import numpy")) == Typed("umpy")
    assert typed_since(at("import n"), at("import n")) == Typed("")
    assert typed_since(at("import n"), at("import ")) is None
    assert typed_since(at("import n"), at("import xy")) is None
    assert typed_since(at("a"), at("ab", uri="file:///b.py")) is None
    assert typed_since(at("a"), at("ab", suffix="x\n")) is None
    long = "b" * LOOK_BACK_CHARACTERS
    assert typed_since(at("a"), at("a" + long)) == Typed(long)
    assert typed_since(at("a"), at("ab" + long)) is None


def test_text_far_away_may_change():
    there = cursor_context("file:///a.py", ASKER, "y" + BEFORE[1:] + "ab", "\n" + AFTER[:-1] + "z, and more")
    assert typed_since(at("a"), there) == Typed("b")
    near = cursor_context("file:///a.py", ASKER, BEFORE + "ab", "\nz" + AFTER[1:])
    assert typed_since(at("a"), near) is None


@pytest.mark.parametrize("after", ["", "\n", "\n" + "z" * SUFFIX_CHARACTERS])
@pytest.mark.parametrize("closed", [")", '"', "]}", "))))"])
def test_closers_that_the_editor_puts_in_are_known(after, closed):
    then = cursor_context("file:///a.py", ASKER, "f", after)
    now = cursor_context("file:///a.py", ASKER, "f(", closed + after)
    assert typed_since(then, now) == Typed("(", closed)
    assert typed_since(then, cursor_context("file:///a.py", ASKER, "f(", ")))))" + after)) is None
    assert typed_since(now, then) is None


def test_line_breaks_are_those_of_the_completion():
    then, now = (cursor_context("file:///a.py", ASKER, before, "\r\n") for before in ("if x:", "if x:\r\n    y"))
    assert typed_since(then, now) == Typed("\n    y")
    assert typed_into(then, "if x:\r\n    y\r\n") == "\n    y"


def test_the_rest_of_a_completion():
    assert Typed("um").rest_of("umpy") == "py"
    assert Typed("um").rest_of("um") == ""
    assert Typed("ux").rest_of("umpy") is None
    assert Typed("umpyx").rest_of("umpy") is None
    assert Typed("(", ")").rest_of("(x, y)") == "x, y"
    assert Typed("(", ")").rest_of("(x, y):") is None


def test_who_is_served_by_whose_answer():
    by_hand = replace(ASKER, candidates=3, automatic=False)
    assert ASKER.is_served_by(ASKER)
    assert ASKER.is_served_by(by_hand)
    assert not by_hand.is_served_by(ASKER)
    assert not replace(by_hand, candidates=1).is_served_by(ASKER), "unasked, some things are withheld"
    assert not ASKER.is_served_by(replace(by_hand, model=2))
    assert not ASKER.is_served_by(replace(by_hand, settings=Settings(multi_line=True)))


short = st.text("ab(", max_size=4)


@given(short, short, short, short)
def test_typing_is_found_in_the_whole_document(before, typed, after, other):
    place = cursor_context("file:///a.py", ASKER, before, after)
    found = typed_into(place, before + typed + after)
    assert found is not None
    assert before + found + after == before + typed + after
    changed = typed_into(place, other)
    assert changed is None or before + changed + after == other


def test_another_document_is_none():
    there = at("a")
    text = BEFORE + "a" + "\n" + AFTER
    assert typed_into(there, text) == ""
    assert typed_into(there, text[1:]) is None
    assert typed_into(there, BEFORE + "a" + "b" * (LOOK_BACK_CHARACTERS + 1) + "\n" + AFTER) is None
    assert typed_into(there, BEFORE + "ab" + "\n" + AFTER) == "b"
    assert typed_into(there, BEFORE + "z" + "b\n" + AFTER) is None
    assert len(there.prefix) == PREFIX_CHARACTERS + LOOK_BACK_CHARACTERS


def test_what_is_written_agrees_with_what_is_typed_as_far_as_both_go():
    assert agree("", "abc")
    assert agree("abc", "")
    assert agree("ab", "abc")
    assert agree("abc", "ab")
    assert not agree("abc", "ax")
    assert agree("(x, y)", "()"), "the closer may be the editor's"
    assert not agree("[x]", "()")
