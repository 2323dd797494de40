from hypothesis import given

from lsp_server.documents.line_endings import length_in_document, to_document, to_engine, without_carriage_returns
from tests.lsp_server.texts import texts


@given(texts)
def test_the_engine_sees_newlines_only(text):
    seen = to_engine(text)
    assert "\r" not in seen
    assert seen == "\n".join("\n".join(text.split("\r\n")).split("\r"))
    assert to_document(seen, "\r\n").replace("\r\n", "\n") == seen


def test_halves_of_a_character_join_and_lone_ones_are_replaced():
    assert to_engine("a\ud83d\ude00b") == "a😀b"
    assert to_engine("a\ud83db") == "a\ufffdb"


def test_inserted_text_takes_the_documents_line_breaks():
    assert to_document("a\nb\n", "\r\n") == "a\r\nb\r\n"
    assert to_document("a\nb\n", "\r") == "a\rb\r"
    assert to_document("a\nb\n", "\n") == "a\nb\n"


@given(texts)
def test_every_length_of_what_was_sent_is_one_of_the_document(text):
    sent = without_carriage_returns(text)
    for length in range(len(sent) + 1):
        beginning = text[: length_in_document(text, length)]
        assert without_carriage_returns(beginning) == sent[:length]
