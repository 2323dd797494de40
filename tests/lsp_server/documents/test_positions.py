import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.documents.documents import Document
from lsp_server.documents.positions import index_of, negotiated_encoding, position_of, range_of, span_of, units
from tests.lsp_server.texts import encodings, slow_index, slow_lines, slow_position, slow_units, texts


def document(text: str) -> Document:
    return Document.create("file:///a.py", "python", 1, text)


@given(texts, encodings, st.integers(0, 40), st.integers(0, 60))
def test_a_position_means_what_the_rules_say(text, encoding, line, character):
    position = types.Position(line, character)
    assert index_of(document(text), position, encoding) == slow_index(text, position, encoding)


@given(texts, encodings)
def test_every_index_has_the_reference_position_and_comes_back(text, encoding):
    made = document(text)
    inside = {upper - 1 for _, end, upper in slow_lines(text) if upper - end == 2}
    for index in range(len(text) + 1):
        position = position_of(made, index, encoding)
        assert position == slow_position(text, index, encoding)
        assert index_of(made, position, encoding) == (index - 1 if index in inside else index)


@given(texts, encodings)
def test_units_add_up(text, encoding):
    assert units(text, encoding) == sum(slow_units(character, encoding) for character in text)


@pytest.mark.parametrize(
    ("encoding", "character", "expected"),
    [
        ("utf-16", 1, 1),  # before the emoji
        ("utf-16", 2, 1),  # inside its surrogate pair
        ("utf-16", 3, 2),
        ("utf-16", 4, 3),
        ("utf-16", 99, 3),
        ("utf-8", 2, 1),
        ("utf-8", 4, 1),
        ("utf-8", 5, 2),
        ("utf-32", 2, 2),
    ],
)
def test_an_emoji_in_the_line(encoding, character, expected):
    assert index_of(document("a😀b\nc"), types.Position(0, character), encoding) == expected


def test_the_end_of_an_unterminated_last_line_and_of_an_empty_one():
    assert index_of(document("ab"), types.Position(0, 9), "utf-16") == 2
    assert index_of(document("ab\n"), types.Position(1, 0), "utf-16") == 3
    assert index_of(document("ab\n"), types.Position(7, 3), "utf-16") == 3
    assert index_of(document(""), types.Position(0, 0), "utf-16") == 0


def test_a_lone_surrogate_is_one_character():
    made = document("a\ud83db")
    assert [index_of(made, types.Position(0, n), "utf-16") for n in range(4)] == [0, 1, 2, 3]
    assert position_of(made, 3, "utf-8") == types.Position(0, 5)


def test_a_swapped_range_is_put_in_order():
    made = document("abc")
    swapped = types.Range(types.Position(0, 3), types.Position(0, 1))
    assert span_of(made, swapped, "utf-16") == (1, 3)
    assert range_of(made, 1, 3, "utf-16") == types.Range(types.Position(0, 1), types.Position(0, 3))


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["utf-7"], "utf-16"),
        (["utf-32", "utf-16"], "utf-32"),
        (["utf-7", types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16], "utf-8"),
    ],
)
def test_the_client_chooses_the_encoding(offered, expected):
    general = types.GeneralClientCapabilities(position_encodings=offered)
    assert negotiated_encoding(types.ClientCapabilities(general=general)) == expected
    assert negotiated_encoding(types.ClientCapabilities()) == "utf-16"
