import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.documents.documents import Document
from tests.lsp_server.texts import slow_lines, texts


def document(text: str) -> Document:
    return Document.create("file:///a.py", "python", 1, text)


def spans(of: Document) -> list[tuple[int, int]]:
    return [of.line_span(line) for line in range(of.lines)]


def reference(text: str) -> list[tuple[int, int]]:
    return [(start, end) for start, end, _ in slow_lines(text)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("\n", ["", ""]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("\r\r\n\n", ["", "", "", ""]),
        ("a\fb\x85c\u2028d\u2029e\x0bf\x1cg", ["a\fb\x85c\u2028d\u2029e\x0bf\x1cg"]),
    ],
)
def test_lines_end_where_the_protocol_says_and_nowhere_else(text, lines):
    made = document(text)
    assert [text[start:end] for start, end in spans(made)] == lines


@given(texts)
def test_spans_equal_the_reference(text):
    assert spans(document(text)) == reference(text)


@given(texts, texts, st.data())
def test_an_edit_equals_a_new_document(text, inserted, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    edited = document(text).edit(start, end, inserted, 2)
    assert edited.text == text[:start] + inserted + text[end:]
    assert edited.version == 2
    assert np.array_equal(edited.line_starts, document(edited.text).line_starts)


@given(texts)
def test_line_at_finds_the_line_of_every_character(text):
    made = document(text)
    for line, (start, _, upper) in enumerate(slow_lines(text)):
        assert {made.line_at(index) for index in range(start, upper)} <= {line}
    assert made.line_at(len(text)) == made.lines - 1


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 0, "\n"),
        ("only", 0, "\n"),
        ("a\r\nb", 0, "\r\n"),
        ("a\r\nb", 1, "\r\n"),
        ("a\rb", 1, "\r"),
        ("a\nb\r\nc", 2, "\r\n"),
        ("a\r\nb\nc", 1, "\r\n"),
    ],
)
def test_inserted_text_takes_the_line_break_of_its_neighbourhood(text, line, expected):
    assert document(text).line_break_near(line) == expected


@pytest.mark.parametrize("text", ["x = 1  # a line\n" * 330_000, "x" * 1_000_000, "é" * 1_000_000])
def test_typing_into_a_large_document(text):
    made = document(text)
    for index in range(20):
        made = made.edit(len(text) // 2 + index, len(text) // 2 + index, "y", index)
    assert made.text[len(text) // 2 : len(text) // 2 + 20] == "y" * 20
