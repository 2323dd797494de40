"""Placeholders for bytes that are not valid UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.partial_utf8 import REPLACEMENT, hold_places, valid_pieces
from tests.strategies import byte_strings


@given(st.one_of(byte_strings(), st.binary(max_size=12)))
def test_every_character_stands_for_its_bytes(data):
    held = hold_places(data)
    end = 0
    found = []
    for character in held.text:
        start, end = end, end + len(character.encode())
        found.append(held.data(start, end))
    assert b"".join(found) == data
    assert all(found)


@given(st.binary(max_size=12))
def test_pieces_join_to_the_bytes(data):
    pieces = [piece.encode() if isinstance(piece, str) else bytes([piece]) for piece in valid_pieces(data)]
    assert b"".join(pieces) == data


@given(st.characters(exclude_categories=["Cs"]))
def test_a_character_cut_short_becomes_one_that_begins_like_it(character):
    data = character.encode()
    for length in range(1, len(data)):
        placeholder = hold_places(data[:length]).text
        assert len(placeholder) == 1
        assert placeholder != REPLACEMENT
        assert placeholder.encode()[:length] == data[:length]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a \xe4\xb8", "a 丿"),
        (b"\xf0\x9f\x98", "😿"),
        (b"\xed", "\ud7ff"),
        (b"\xf4", "\U0010ffff"),
        (b"\xff", REPLACEMENT),
        (b"\xb8\xadx", REPLACEMENT * 2 + "x"),
        (b"\xe4\xb8x", REPLACEMENT + "x"),
        (b"", ""),
    ],
)
def test_hand_checked_placeholders(data, text):
    assert hold_places(data).text == text
