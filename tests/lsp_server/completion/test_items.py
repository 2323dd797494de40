import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.completion import items
from lsp_server.completion.items import MAX_WORD, place_at, place_of_selected, preview
from lsp_server.completion.prompt import Place
from lsp_server.documents.documents import Document
from lsp_server.documents.positions import span_of
from lsp_server.state import Client
from tests.lsp_server.fakes import completion_of
from tests.lsp_server.texts import encodings, texts


def inline_items(document, place, completions, encoding) -> list[types.InlineCompletionItem]:
    return items.inline_items(document, place, completions, Client(encoding), "id of {}".format)


def list_items(document, place, completions, encoding, *, with_commands=True) -> list[types.CompletionItem]:
    client = Client(encoding, commands=with_commands)
    return items.list_items(document, place, completions, client, "id of {}".format)


def document(text: str) -> Document:
    return Document.create("file:///a.py", "python", 1, text)


def marked(text: str) -> tuple[Document, int]:
    """A document, and the cursor where the bar is."""
    return document(text.replace("|", "")), text.index("|")


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("import nump|", "nump"),
        ("x = a_1|b", "a_1"),
        ("np.|", ""),
        ("|", ""),
        ("\nab|", "ab"),
        ("a\r|", ""),
        ("😀ab|", "ab"),
        ("cafe\u0301|", "cafe\u0301"),
        ("广州|", "广州"),
        ("a" * (MAX_WORD + 1) + "|", ""),
        ("." + "a" * MAX_WORD + "|", "a" * MAX_WORD),
    ],
)
def test_the_place_is_the_word_before_the_cursor(text, typed):
    made, cursor = marked(text)
    assert place_at(made, cursor) == Place(cursor - len(typed), cursor, typed)


def test_an_inline_item_is_the_whole_word_over_the_words_range():
    made, cursor = marked("😀 nump|)")
    [item] = inline_items(made, place_at(made, cursor), [completion_of("y as np")], "utf-16")
    assert item.insert_text == "numpy as np"
    assert item.range == types.Range(types.Position(0, 3), types.Position(0, 7))
    assert item.filter_text is None


def test_a_completion_without_text_is_no_item():
    made, cursor = marked("x|")
    assert inline_items(made, place_at(made, cursor), [completion_of("")], "utf-16") == []
    assert list_items(made, place_at(made, cursor), [completion_of("")], "utf-16") == []


def test_a_completion_that_looks_like_a_better_one_is_no_item():
    made, cursor = marked("x|")
    completions = [completion_of(" = 1"), completion_of(" = 1 "), completion_of(""), completion_of(" = 2")]
    place = place_at(made, cursor)
    assert [item.insert_text for item in inline_items(made, place, completions, "utf-16")] == ["x = 1", "x = 2"]
    assert [item.label for item in list_items(made, place, completions, "utf-16")] == ["x = 1", "x = 2"]


def test_a_list_item_replaces_the_word_and_filters_by_it():
    made, cursor = marked("    ret|")
    made_items = list_items(made, place_at(made, cursor), [completion_of("urn x"), completion_of("ry()")], "utf-16")
    assert [item.label for item in made_items] == ["return x", "retry()"]
    assert [item.sort_text for item in made_items] == ["0000", "0001"]
    assert [item.filter_text for item in made_items] == ["return x", "retry()"]
    span = types.Range(types.Position(0, 4), types.Position(0, 7))
    first = made_items[0]
    assert first.text_edit == types.TextEdit(span, "return x")
    assert first.kind == types.CompletionItemKind.Text
    assert first.insert_text_format == types.InsertTextFormat.PlainText
    assert first.insert_text is None


def test_a_client_without_carriage_returns_gets_none_but_the_document_form_is_noted():
    made, cursor = marked("a\r\nif x:|")
    place, completions = place_at(made, cursor), [completion_of("\n    y\n    z")]
    client, note = Client(carriage_returns=False, commands=True), "id of {}".format
    [ghost] = items.inline_items(made, place, completions, client, note)
    [item] = items.list_items(made, place, completions, client, note)
    assert ghost.insert_text == "\n    y\n    z"
    assert isinstance(item.text_edit, types.TextEdit)
    assert item.text_edit.new_text == "\n    y\n    z"
    assert item.data == "id of \r\n    y\r\n    z"


def test_every_item_has_an_id_and_a_command_that_carries_it():
    made, cursor = marked("x|")
    place, completions = place_at(made, cursor), [completion_of("y")]
    command = types.Command("Midtoken: accepted", "midtoken.server.accept", arguments=["id of xy"])
    [ghost] = inline_items(made, place, completions, "utf-16")
    assert ghost.command == command
    [item] = list_items(made, place, completions, "utf-16")
    assert (item.command, item.data) == (command, "id of xy")
    [item] = list_items(made, place, completions, "utf-16", with_commands=False)
    assert (item.command, item.data) == (None, "id of xy")


@pytest.mark.parametrize(
    ("text", "markdown", "shown"),
    [
        ("if x:\n    y", False, "if x:\n    y"),
        ("if x:\n    y", True, "```python\nif x:\n    y\n```"),
        ('a = "````"\nb', True, '`````python\na = "````"\nb\n`````'),
    ],
)
def test_a_preview_shows_the_whole_text(text, markdown, shown):
    assert preview(text, "python", markdown=markdown) == shown


def test_a_label_shows_something_or_there_is_no_item():
    made, cursor = marked("x =|")
    place = place_at(made, cursor)
    completions = [completion_of("\n    "), completion_of(" {\n  }"), completion_of("\n  y")]
    found = list_items(made, place, completions, "utf-16")
    assert [item.label for item in found] == ["{ …", "y"]
    assert [item.filter_text for item in found] == [" {", None]


def test_inserted_text_has_the_documents_line_breaks():
    made, cursor = marked("a\r\nif x|")
    [item] = inline_items(made, place_at(made, cursor), [completion_of(":\n    y")], "utf-16")
    assert item.insert_text == "x:\r\n    y"


@given(texts, texts.filter(bool), encodings, st.data())
def test_accepting_an_item_inserts_the_completion_and_changes_nothing_else(text, new, encoding, data):
    new = new.replace("\r", "")
    made = document(text)
    cursor = data.draw(st.integers(0, len(text)).filter(lambda i: text[i - 1 : i + 1] != "\r\n"))
    place = place_at(made, cursor)
    for item in inline_items(made, place, [completion_of(new)], encoding):
        assert isinstance(item.insert_text, str)
        assert item.range is not None
        start, end = span_of(made, item.range, encoding)
        assert item.insert_text.startswith(text[start:end])
        assert item.range.start.line == item.range.end.line
        accepted = text[:start] + item.insert_text + text[end:]
        assert accepted.startswith(text[:cursor])
        assert accepted.endswith(text[cursor:])
        assert accepted[cursor : len(accepted) - len(text[cursor:])].replace("\r\n", "\n").replace("\r", "\n") == new


def selected(start: int, end: int, text: str, line: int = 0) -> types.SelectedCompletionInfo:
    return types.SelectedCompletionInfo(
        range=types.Range(types.Position(0, start), types.Position(line, end)), text=text
    )


def test_items_extend_the_selected_item_and_take_its_range():
    made, cursor = marked("os.pa|th")
    place = place_of_selected(made, cursor, selected(3, 7, "pathsep"), "utf-16")
    assert place == Place(3, 7, "pathsep")
    [item] = inline_items(made, place, [completion_of(".join")], "utf-16")
    assert item.insert_text == "pathsep.join"
    assert item.range == types.Range(types.Position(0, 3), types.Position(0, 7))


@pytest.mark.parametrize("info", [selected(0, 1, "x"), selected(3, 1, "x", line=1)])
def test_a_selected_item_elsewhere_or_over_lines_is_nonsense(info):
    made, cursor = marked("os.pa|th\nmore")
    assert place_of_selected(made, cursor, info, "utf-16") is None
