from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.documents import changes
from lsp_server.documents.changes import apply_changes
from lsp_server.documents.documents import Document
from lsp_server.documents.positions import PositionEncoding
from tests.lsp_server.texts import encodings, slow_lines, slow_position, texts

Change = types.TextDocumentContentChangePartial


def document(text: str) -> Document:
    return Document.create("file:///a.py", "python", 1, text)


class ClientText:
    """An editor's buffer: a plain string, edited at character indices. It gives positions as a client would."""

    def __init__(self, text: str, encoding: PositionEncoding) -> None:
        self.text = text
        self.encoding = encoding

    def places(self) -> list[int]:
        """Indices where a client can put a cursor: not inside a line break."""
        inside = {upper - 1 for _, end, upper in slow_lines(self.text) if upper - end == 2}
        return [index for index in range(len(self.text) + 1) if index not in inside]

    def replace(self, start: int, end: int, text: str) -> Change:
        span = types.Range(slow_position(self.text, start, self.encoding), slow_position(self.text, end, self.encoding))
        self.text = self.text[:start] + text + self.text[end:]
        return Change(range=span, text=text)


@given(texts, encodings, st.data())
def test_any_sequence_of_edits_keeps_the_text_equal_to_the_clients(text, encoding, data):
    client, ours = ClientText(text, encoding), document(text)
    for version in range(2, 2 + data.draw(st.integers(1, 4))):
        made = []
        for _ in range(data.draw(st.integers(1, 3))):
            places = client.places()
            start, end = sorted((data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))))
            made.append(client.replace(start, end, data.draw(texts)))
        ours = apply_changes(ours, made, version, encoding)
        assert ours.text == client.text
        assert ours.version == version
        assert [ours.line_span(line) for line in range(ours.lines)] == [
            (start, end) for start, end, _ in slow_lines(client.text)
        ]


@given(texts, encodings, st.data())
def test_many_edits_last_one_first_equal_one_at_a_time(text, encoding, data):
    client = ClientText(text, encoding)
    places = client.places()
    cuts = sorted(data.draw(st.lists(st.sampled_from(places), max_size=12)), reverse=True)
    made = [client.replace(low, high, data.draw(texts)) for high, low in zip(cuts[::2], cuts[1::2], strict=False)]
    ours = document(text)
    edits = changes._backward_edits(ours, made, encoding)
    if edits is not None:
        assert ours.edit_backwards(edits, 2).text == client.text


def test_every_match_in_a_large_file_is_replaced():
    line = "value = value + 1\n"
    made = [
        Change(range=types.Range(types.Position(number, 0), types.Position(number, 5)), text="other")
        for number in reversed(range(100_000))
    ]
    edited = apply_changes(document(line * 100_000), made, 2, "utf-16")
    assert edited.text == line.replace("value", "other", 1) * 100_000


def test_a_change_without_a_range_is_the_whole_text():
    whole = types.TextDocumentContentChangeWholeDocument(text="new\r\n")
    edited = apply_changes(document("old"), [whole], 5, "utf-16")
    assert (edited.text, edited.lines, edited.version) == ("new\r\n", 2, 5)
    inserted = Change(range=types.Range(types.Position(0, 0), types.Position(0, 0)), text="x")
    many: list[types.TextDocumentContentChangeEvent] = [whole, *[inserted] * 20]
    assert apply_changes(document("old"), many, 5, "utf-16").text == "x" * 20 + "new\r\n"
