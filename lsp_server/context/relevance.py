"""Pieces of open documents, ranked by what they have in common with the code around the cursor.

BM25 (Robertson and Zaragoza 2009) over the identifiers of a piece, each counted once, so that rare names count most.
The index follows the documents: only changed parts are read again.
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lsp_server.documents.documents import Document

SHORTEST_PIECE, LONGEST_PIECE = 6, 20
"""Lengths in lines. A piece ends at the first blank line after the shortest length, so that an edit changes few
other pieces.
"""
MOST_DOCUMENTS, MOST_PIECES = 32, 1500
LONGEST_DOCUMENT = 300_000
"""Limits of the index, so that a search takes some milliseconds whatever is open."""
NEW_CHARACTERS = 60_000
"""Limit on new characters for one request. A document that was begun is read to its end; the rest waits for the
next request.
"""
SATURATION, LENGTH_WEIGHT = 1.2, 0.75
LEAST_PIECES = 100
"""Names are weighted as if there were at least this many pieces. Otherwise, with three pieces, one shared name
would count too much.
"""
EDITED = 1.5
"""Factor on the score of recently edited pieces, because a change in one place often belongs to a change in another."""
REMEMBERED_EDITS = 8
_IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")
_KEYWORDS = """
and args assert async await bool break case catch char class cls const continue def default del elif else enum except
export extends false False final finally float fn for from func function global impl import interface int kwargs lambda
let long match mut new nil None not null object package pass private protected pub public raise return self static str
string String struct super switch the this throw true True try type use using var void while with yield
"""
_COMMON_WORDS = frozenset(_KEYWORDS.split())


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines ``first`` up to ``end`` (not included) of a document, and the identifiers in them."""

    uri: str
    first: int
    end: int
    text: str
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A piece and its score, above 0."""

    piece: Piece
    score: float


def identifiers(text: str) -> frozenset[str]:
    """Names of three or more characters, without words that say nothing about the subject of a text."""
    return frozenset(_IDENTIFIER.findall(text)) - _COMMON_WORDS


class RelevanceIndex:
    """The pieces of the documents that were given last. Only one thread may use it at a time, but any thread may read
    the sizes ``pieces`` and ``characters``.
    """

    def __init__(self) -> None:
        self._documents: OrderedDict[str, tuple[Document, tuple[Piece, ...]]] = OrderedDict()
        self._frequency: Counter[str] = Counter()
        self.pieces = 0
        self.characters = 0
        self._terms = 0
        self._edited: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._last: tuple[frozenset[str], list[Ranked]] | None = None

    def follow(self, documents: Sequence[Document]) -> None:
        """Update the index to these documents, the most important first. Others are forgotten."""
        wanted = [document for document in documents if len(document.text) <= LONGEST_DOCUMENT][:MOST_DOCUMENTS]
        for uri in self._documents.keys() - {document.uri for document in wanted}:
            self._forget(uri)
        left, pieces = NEW_CHARACTERS, 0
        for document in wanted:
            known = self._documents.get(document.uri)
            if pieces >= MOST_PIECES:
                self._forget(document.uri)
            elif left > 0 and (known is None or known[0] is not document):
                left -= self._read(document, known[1] if known else ())
            pieces += len(self._documents[document.uri][1]) if document.uri in self._documents else 0

    def ranked(self, terms: frozenset[str]) -> list[Ranked]:
        """The pieces that contain some of ``terms``, best first; equal ones by document and line."""
        if self._last is not None and self._last[0] == terms:
            return self._last[1]
        weights = {term: self._weight(term) for term in terms if term in self._frequency}
        average = max(1.0, self._terms / max(1, self.pieces))
        pieces = (piece for _, pieces in self._documents.values() for piece in pieces)
        shared = ((piece, weights.keys() & piece.terms) for piece in pieces)
        found = [
            Ranked(piece, self._score(piece, [weights[term] for term in common], average))
            for piece, common in shared
            if common
        ]
        found.sort(key=lambda ranked: (-ranked.score, ranked.piece.uri, ranked.piece.first))
        self._last = terms, found
        return found

    def _score(self, piece: Piece, weights: Sequence[float], average: float) -> float:
        length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(piece.terms) / average
        score = math.fsum(weights) * (SATURATION + 1) / (1 + SATURATION * length)
        return score * EDITED if (piece.uri, piece.text) in self._edited else score

    def _weight(self, term: str) -> float:
        count = self._frequency[term]
        return math.log(1 + (max(self.pieces, LEAST_PIECES) - count + 0.5) / (count + 0.5))

    def _read(self, document: Document, before: Sequence[Piece]) -> int:
        """Index a document; returns how many characters of it were new."""
        known = {piece.text: piece.terms for piece in before}
        self._forget(document.uri)
        pieces, new = [], 0
        for first, end, text in split(document):
            terms = known.get(text)
            if terms is None:
                terms, new = identifiers(text), new + len(text)
                if before:
                    self._note_edit(document.uri, text)
            if terms:
                pieces.append(Piece(document.uri, first, end, text, terms))
        self._documents[document.uri] = document, tuple(pieces)
        self._count(pieces, +1)
        return new

    def _forget(self, uri: str) -> None:
        _, pieces = self._documents.pop(uri, (None, ()))
        self._count(pieces, -1)

    def _count(self, pieces: Iterable[Piece], sign: int) -> None:
        self._last = None
        for piece in pieces:
            self.pieces += sign
            self.characters += sign * len(piece.text)
            self._terms += sign * len(piece.terms)
            for term in piece.terms:
                self._frequency[term] += sign
                if not self._frequency[term]:
                    del self._frequency[term]

    def _note_edit(self, uri: str, text: str) -> None:
        self._edited[uri, text] = None
        while len(self._edited) > REMEMBERED_EDITS:
            self._edited.popitem(last=False)


def split(document: Document) -> Iterator[tuple[int, int, str]]:
    """The pieces of a document: first line, line after the last, text. Together they are all of it."""
    starts = [*document.line_starts.tolist(), len(document.text)]
    first = 0
    for line in range(document.lines):
        lines = line + 1 - first
        is_blank = not document.text[starts[line] : starts[line + 1]].strip()
        if lines >= LONGEST_PIECE or (lines >= SHORTEST_PIECE and is_blank) or line + 1 == document.lines:
            yield first, line + 1, document.text[starts[first] : starts[line + 1]]
            first = line + 1
