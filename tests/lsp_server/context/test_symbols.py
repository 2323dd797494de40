"""The names in other open documents."""

from lsp_server.context import symbols
from lsp_server.context.symbols import SymbolIndex
from lsp_server.documents.documents import Document


def document(name: str, text: str) -> Document:
    return Document.create(f"file:///{name}", "python", 1, text)


def test_the_names_of_each_document():
    found = SymbolIndex().names([document("a", "def load(path): ..."), document("b", "class Größe: x1 = 12")])
    assert found == (frozenset({"def", "load", "path"}), frozenset({"class", "Größe", "x1"}))


def test_a_changed_document_is_read_again_and_a_closed_one_forgotten():
    index, first, second = SymbolIndex(), document("a", "one"), document("b", "two")
    index.names([first, second])
    assert index.names([document("a", "three")]) == (frozenset({"three"}),)
    assert index.names([second]) == (frozenset({"two"}),)


def test_an_unchanged_document_is_not_read_again(monkeypatch):
    index, one = SymbolIndex(), document("a", "one")
    (before,) = index.names([one])
    monkeypatch.setattr(symbols, "_NAME", None)
    assert index.names([one])[0] is before


def test_what_is_read_for_one_request_is_bounded(monkeypatch):
    monkeypatch.setattr(symbols, "NEW_CHARACTERS", 5)
    index, documents = SymbolIndex(), [document(name, "long_name") for name in "abc"]
    assert [len(index.names(documents)) for _ in range(4)] == [1, 2, 3, 3]


def test_data_is_left_out(monkeypatch):
    monkeypatch.setattr(symbols, "LONGEST_DOCUMENT", 5)
    monkeypatch.setattr(symbols, "MOST_NAMES", 1)
    assert SymbolIndex().names([document("a", "a long one"), document("b", "a, b")]) == (frozenset(),)
