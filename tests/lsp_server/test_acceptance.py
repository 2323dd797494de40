from hypothesis import given
from hypothesis import strategies as st

from lsp_server.acceptance import KEPT_OFFERS, KEPT_SPANS, Ledger, Offer, edit_between
from lsp_server.documents.documents import Document

URI = "file:///a.py"


def document(text: str, uri: str = URI) -> Document:
    return Document.create(uri, "python", 1, text)


def accepted(before: str, added: str, after: str = "\n") -> tuple[Ledger, Document]:
    """A ledger with one accepted item, and the document after the insertion."""
    ledger, made = Ledger(), document(before + added + after)
    number = ledger.offer(Offer(URI, len(before), 0, added))
    taken = ledger.accept(number, made)
    assert taken is not None
    assert taken.stands
    return ledger, made


def test_an_accepted_item_is_kept_while_it_stands():
    ledger, made = accepted("x = ", "foo(bar)")
    assert ledger.kept_characters == 8
    for text, kept in [
        ("# new\nx = foo(bar)\n", 8),  # moved
        ("# new\nx = foo(baz, bar)\n", 8),  # split in two
        ("# new\nx = foo()\n", 5),  # cut in its middle
        ("# new\ny\n", 0),
    ]:
        newer = document(text)
        ledger.changed(made, newer)
        assert ledger.kept_characters == kept
        made = newer


def test_what_is_typed_around_it_is_not_counted():
    ledger, made = accepted("x = ", "foo")
    ledger.changed(made, document("x = foo.bar.baz\n"))
    ledger.changed(document("x = foo.bar.baz\n"), document("x = self.foo.bar.baz\n"))
    assert ledger.kept_characters == 3
    ledger.changed(None, document("x"))
    ledger.changed(document("a", "file:///b.py"), document("", "file:///b.py"))
    assert ledger.kept_characters == 3


def test_parts_add_up_to_the_whole():
    ledger, text = Ledger(), "umpy as np"
    number = ledger.offer(Offer(URI, 7, 1, "n" + text))
    first = ledger.accept(number, document("import numpy"), 5)
    assert first is not None
    assert (first.characters, first.end, first.is_first) == (4, 12, True)
    rest = ledger.accept(number, document("import numpy as np"))
    assert rest is not None
    assert (rest.characters, rest.end, rest.is_first) == (6, 18, False)
    again = ledger.accept(number, document("import numpy as np"), 3)
    assert again is not None
    assert again.characters == 0
    assert ledger.kept_characters == len(text)


def test_what_is_not_where_it_was_offered_is_not_watched():
    ledger = Ledger()
    number = ledger.offer(Offer(URI, 0, 0, "foo"))
    for made in (document("bar"), None):
        taken = ledger.accept(number, made)
        assert taken is not None
        assert not taken.stands
    assert ledger.kept_characters == 0


def test_unknown_ids_are_none():
    ledger = Ledger()
    assert ledger.find("x") is None
    assert ledger.accept("x", None) is None
    assert Ledger().offer(Offer(URI, 0, 0, "")) != Ledger().offer(Offer(URI, 0, 0, ""))


def test_a_closed_document_settles_what_stands_and_voids_its_offers():
    ledger, _ = accepted("x = ", "foo")
    number = ledger.offer(Offer(URI, 0, 0, "x"))
    other = ledger.offer(Offer("file:///b.py", 0, 0, "x"))
    ledger.closed(URI)
    ledger.changed(document("x = foo\n"), document(""))
    assert ledger.kept_characters == 3
    assert ledger.find(number) is None
    assert ledger.find(other) is not None


def test_memory_is_bounded():
    ledger, made = Ledger(), document("ab")
    numbers = [ledger.offer(Offer(URI, 0, 0, "ab")) for _ in range(KEPT_OFFERS + 1)]
    assert ledger.find(numbers[0]) is None
    for number in numbers[1:]:
        assert ledger.accept(number, made) is not None
    assert ledger.kept_characters == 2 * KEPT_OFFERS
    assert len(ledger._spans) == KEPT_SPANS
    assert len(ledger._taken) == KEPT_OFFERS


pieces = st.text("ab\n", max_size=8)


@given(pieces, pieces)
def test_an_edit_makes_the_one_text_of_the_other(old, new):
    start, end, inserted = edit_between(old, new)
    assert 0 <= start <= end <= len(old)
    assert old[:start] + new[start : start + inserted] + old[end:] == new


@given(pieces, pieces, pieces, st.data())
def test_kept_characters_are_those_that_no_edit_touched(before, added, after, data):
    text = before + (added or "x") + after
    ledger, made = accepted(before, added or "x", after)
    kept = [before_ <= index < before_ + len(added or "x") for before_ in [len(before)] for index in range(len(text))]
    for _ in range(3):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        new = data.draw(pieces)
        # The ledger sees two texts only. Of two equal neighbours either may be the removed one, so ask the ledger
        # which.
        changed = text[:start] + new + text[end:]
        start, end, count = edit_between(text, changed)
        kept = kept[:start] + [False] * count + kept[end:]
        text = changed
        newer = document(text)
        ledger.changed(made, newer)
        made = newer
        assert ledger.kept_characters == sum(kept)
