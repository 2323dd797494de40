"""What was offered, what was accepted of it, and how much of that is still in its document."""

import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass

from lsp_server.documents.documents import Document

ACCEPT = "midtoken.server.accept"
"""The command that an item carries."""
KEPT_OFFERS = 256
"""Offers that are remembered. A client accepts what it shows, which is among the last few answers."""
KEPT_SPANS = 128
"""Accepted texts that are watched. What is left of older ones counts as kept for good."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An item that was sent: ``insert_text`` goes to the character index ``start``. Its first ``typed`` characters are
    there already, or come with an item selected in the client's list.
    """

    uri: str
    start: int
    typed: int
    insert_text: str
    is_ghost_text: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """A part of an offer that was accepted, up to the index ``end``. ``stands`` says that the document has the text
    where it was offered, ``is_first`` that no part of the offer was accepted before.
    """

    characters: int
    end: int
    is_first: bool
    stands: bool


@dataclass(frozen=True, slots=True)
class _Span:
    uri: str
    start: int
    end: int


class Ledger:
    """Offers by the id in their command, and the accepted characters that are still in their documents."""

    def __init__(self) -> None:
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._taken: dict[str, int] = {}
        self._spans: deque[_Span] = deque()
        self._settled = 0

    def offer(self, offer: Offer) -> str:
        """Record an item and return its id. Ids of other server processes never match."""
        number = uuid.uuid4().hex
        self._offers[number] = offer
        if len(self._offers) > KEPT_OFFERS:
            oldest, _ = self._offers.popitem(last=False)
            self._taken.pop(oldest, None)
        return number

    def find(self, number: str) -> Offer | None:
        """The offer of an id; None if it is not ours, or was made too long ago."""
        return self._offers.get(number)

    def accept(self, number: str, document: Document | None, length: int | None = None) -> Accepted | None:
        """Record that the first ``length`` characters of an item's text were accepted (None: all). None for an unknown
        id.

        ``document`` is the item's document after the insertion.
        """
        offer = self._offers.get(number)
        if offer is None:
            return None
        whole = len(offer.insert_text)
        is_first, before = number not in self._taken, self._taken.get(number, offer.typed)
        upper = whole if length is None else max(before, min(length, whole))
        self._taken[number] = upper
        end = offer.start + upper
        stands = document is not None and document.text[offer.start : end] == offer.insert_text[:upper]
        if stands and upper > before:
            self._watch(_Span(offer.uri, offer.start + before, end))
        return Accepted(upper - before, end, is_first, stands)

    def changed(self, old: Document | None, new: Document) -> None:
        """A document has a new text: deleted parts of accepted texts no longer count as kept."""
        if old is None or not any(span.uri == new.uri for span in self._spans):
            return
        start, end, inserted = edit_between(old.text, new.text)
        spans = self._spans
        self._spans = deque()
        for span in spans:
            self._spans.extend(_after(span, start, end, inserted) if span.uri == new.uri else (span,))

    def closed(self, uri: str) -> None:
        """A document was closed: what is left of accepted texts counts as kept for good, and its offers are no
        longer valid.
        """
        self._settled += sum(span.end - span.start for span in self._spans if span.uri == uri)
        self._spans = deque(span for span in self._spans if span.uri != uri)
        for number in [number for number, offer in self._offers.items() if offer.uri == uri]:
            del self._offers[number]
            self._taken.pop(number, None)

    @property
    def kept_characters(self) -> int:
        """Accepted characters that are in their document, or were when it was closed."""
        return self._settled + sum(span.end - span.start for span in self._spans)

    def _watch(self, span: _Span) -> None:
        self._spans.append(span)
        while len(self._spans) > KEPT_SPANS:
            oldest = self._spans.popleft()
            self._settled += oldest.end - oldest.start


def edit_between(old: str, new: str) -> tuple[int, int, int]:
    """One edit that turns ``old`` into ``new``: start and end of the replaced span of ``old``, and the length of the
    new text.

    >>> edit_between("abcd", "abXYd")
    (2, 3, 2)
    """
    start = _common_start(old, new)
    limit = min(len(old), len(new)) - start
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    return start, len(old) - low, len(new) - low - start


def _common_start(one: str, other: str) -> int:
    """Length of the longest common beginning, found by bisection, because comparing slices is far faster than
    comparing characters.
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _after(span: _Span, start: int, end: int, inserted: int) -> list[_Span]:
    """What is left of a span after an edit that replaces ``start`` to ``end`` by ``inserted`` characters: up to two
    pieces.
    """
    shift = inserted - (end - start)
    left = (span.start, min(span.end, start))
    right = (max(span.start, end) + shift, span.end + shift)
    return [_Span(span.uri, low, high) for low, high in (left, right) if low < high]
