"""Pieces of documents and their ranking. After edits, the kept pieces equal newly made ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.context import relevance
from lsp_server.context.relevance import LONGEST_PIECE, SHORTEST_PIECE, RelevanceIndex, identifiers, split
from lsp_server.documents.documents import Document

words = st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon", "x", "", "    self.alpha()"])
texts = st.lists(words, max_size=60).map("\n".join)


def document(text: str, name: str = "a", version: int = 1) -> Document:
    return Document.create(f"file:///{name}.py", "python", version, text)


def scores(index: RelevanceIndex, *terms: str) -> dict[str, float]:
    return {ranked.piece.uri[8:-3]: ranked.score for ranked in index.ranked(frozenset(terms))}


def test_identifiers_are_names_that_say_something():
    assert identifiers("def read_file(self, Path): return x1 + naïve + 12ab") == {"read_file", "Path", "naïve"}


@given(texts)
def test_the_pieces_are_all_of_a_document(text):
    made = document(text)
    pieces = list(split(made))
    assert "".join(piece[2] for piece in pieces) == text
    assert [first for first, _, _ in pieces] == [0, *(end for _, end, _ in pieces[:-1])]
    assert pieces[-1][1] == made.lines
    assert all(end - first <= LONGEST_PIECE for first, end, _ in pieces)
    assert all(end - first >= SHORTEST_PIECE for first, end, _ in pieces[:-1])


def test_a_rare_name_weighs_more_than_a_common_one():
    index = RelevanceIndex()
    index.follow([document(f"common {name}", name) for name in ("rare", "bbb", "ccc")])
    found = scores(index, "common", "rare")
    assert found["rare"] > 2 * found["bbb"] == 2 * found["ccc"]
    assert scores(index, "absent") == {}


def test_the_score_is_bm25():
    index = RelevanceIndex()
    index.follow([document("one two", "a"), document("one three four five", "b")])
    rarity = math.log(1 + (100 - 1 + 0.5) / 1.5)
    assert scores(index, "two")["a"] == pytest.approx(rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)))


def test_a_piece_in_which_many_names_stand_is_worth_less_than_a_short_one():
    index = RelevanceIndex()
    index.follow([document("name", "short"), document("name " + " ".join(f"other{n}" for n in range(40)), "long")])
    found = scores(index, "name")
    assert found["short"] > found["long"]


@given(st.lists(st.tuples(st.sampled_from("abc"), texts), max_size=8), st.frozensets(words, max_size=4))
def test_an_index_that_followed_edits_is_one_made_anew_but_for_the_edited(edits, terms):
    index, now = RelevanceIndex(), {}
    for version, (name, text) in enumerate(edits):
        now[name] = document(text, name, version)
        index.follow(list(now.values()))
    fresh = RelevanceIndex()
    fresh.follow(list(now.values()))
    assert (index._frequency, index.pieces, index._terms) == (fresh._frequency, fresh.pieces, fresh._terms)
    assert index.characters == fresh.characters
    plain = {ranked.piece: ranked.score for ranked in fresh.ranked(terms)}
    for ranked in index.ranked(terms):
        edited = (ranked.piece.uri, ranked.piece.text) in index._edited
        assert ranked.score == pytest.approx(plain[ranked.piece] * (relevance.EDITED if edited else 1))


def test_what_was_edited_lately_is_worth_more():
    index = RelevanceIndex()
    index.follow([document("name", "a"), document("name", "b")])
    assert scores(index, "name")["a"] == scores(index, "name")["b"]
    index.follow([document("name", "a"), document("name\n", "b", 2)])
    assert scores(index, "name")["b"] == pytest.approx(scores(index, "name")["a"] * relevance.EDITED)


def test_documents_that_are_gone_are_forgotten():
    index = RelevanceIndex()
    index.follow([document("name", "a")])
    index.follow([])
    assert scores(index, "name") == {}
    assert (index.pieces, index.characters, index._terms, len(index._frequency)) == (0, 0, 0, 0)


def test_the_work_and_the_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(relevance, "NEW_CHARACTERS", 100)
    monkeypatch.setattr(relevance, "MOST_PIECES", 4)
    monkeypatch.setattr(relevance, "LONGEST_DOCUMENT", 500)
    index = RelevanceIndex()
    documents = [document(f"name{n} " * 10, str(n)) for n in range(8)] + [document("big " * 1000, "big")]
    counts = []
    for _ in range(5):
        index.follow(documents)
        counts.append(index.pieces)
    assert counts[0] == 2
    assert counts[-1] == 4


def test_only_what_is_new_is_read_again(monkeypatch):
    text = "\n".join(f"name{number}" + ("\n" if number % 8 == 7 else "") for number in range(400))
    index = RelevanceIndex()
    index.follow([document(text)])
    read: list[str] = []

    def reading(part: str) -> frozenset[str]:
        read.append(part)
        return identifiers(part)

    monkeypatch.setattr(relevance, "identifiers", reading)
    index.follow([document(text.replace("name200", "name2000"), version=2)])
    assert 1 <= len(read) <= 2
    assert any("name2000" in part for part in read)
