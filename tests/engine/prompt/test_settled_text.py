"""What was settled earlier changes nothing but the work."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.prompt.settled_text import SettledText
from engine.text.tokenizer import Tokenizer
from engine.types import TokenIds
from tests.engine.tokenizers_by_name import ALL, tokenizer_named
from tests.strategies import code_text, random_vocabularies

EDITS = st.lists(st.tuples(st.integers(0, 8), code_text(6)), max_size=6)


def assert_divided_as_if_new(tokenizer: Tokenizer, text: str, edits: list[tuple[int, str]], *, inside: bool) -> None:
    """``edits``: so many characters are deleted at the end, then a text is typed there."""
    typed = SettledText(tokenizer, inside=inside)
    assert typed.split(text) == SettledText(tokenizer, inside=inside).split(text)
    for deleted, added in edits:
        text = text[: len(text) - deleted] + added
        assert typed.split(text) == SettledText(tokenizer, inside=inside).split(text)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=100)
@given(text=code_text(), edits=EDITS, inside=st.booleans())
@example("a\n\n  b", [(3, "  b"), (1, "\n")], False)
@example(" a\nb", [(0, "c\n"), (0, "\n  d"), (5, "")], False)
@example("x = 1\n" + "y" * 600, [(0, "y"), (0, "\nz"), (0, "z")], True)
def test_a_text_is_divided_as_if_it_were_new(name, text, edits, inside):
    assert_divided_as_if_new(tokenizer_named(name), text, edits, inside=inside)


@given(
    text=random_vocabularies(),
    document=st.text("ab \né", max_size=12),
    edits=st.lists(st.tuples(st.integers(0, 4), st.text("ab \né", max_size=4)), max_size=6),
)
def test_with_random_vocabularies_too(text, document, edits):
    assert_divided_as_if_new(Tokenizer(text), document, edits, inside=False)


def test_a_line_that_is_typed_is_all_that_is_encoded(monkeypatch):
    tokenizer, lengths = tokenizer_named("byte-level"), list[int]()
    encode = Tokenizer._encode_text

    def spy(self: Tokenizer, text: str) -> TokenIds:
        lengths.append(len(text))
        return encode(self, text)

    monkeypatch.setattr(Tokenizer, "_encode_text", spy)
    typed, text = SettledText(tokenizer), "x = 1\n" * 500
    typed.split(text)
    assert lengths.pop() == len(text)
    for key in "y = 2\nz = 3\n":
        text += key
        typed.split(text)
    assert max(lengths) <= 2 * len("x = 1\n")
