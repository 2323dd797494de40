"""Requests of documents are spread over replicas: which one gets the next."""

import random
from collections import Counter
from itertools import count, islice
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.team.bounded_load import FACTOR, Ongoing, bound, in_order

NAMES = "abcdefgh"
SEATS = 8


class Service:
    """Replicas, and documents with rings of their own that are always the same."""

    def __init__(self, replicas: int, seats: int = SEATS) -> None:
        self.names, self.seats = NAMES[:replicas], seats
        self.ongoing: Ongoing[str] = Ongoing()
        self.requests = 0

    def ring(self, document: str) -> list[str]:
        return random.Random(document).sample(self.names, len(self.names))

    def home(self, document: str) -> str:
        return self.ring(document)[0]

    def order(self, document: str) -> list[str]:
        loads = {name: self.ongoing.at(name) for name in self.names}
        own = {name: self.ongoing.of(document, name) for name in self.names}
        return in_order(self.ring(document), loads, own, self.seats)

    def ask(self, document: str) -> str:
        """The replica that a request goes to; it stays there until it is said to end."""
        chosen = self.order(document)[0]
        self.ongoing.begin(str(self.requests), document, chosen)
        self.requests += 1
        return chosen

    def neighbours(self, document: str, number: int) -> list[str]:
        """Documents with the same first replica."""
        names = (f"neighbour-{index}" for index in count())
        return list(islice((name for name in names if self.home(name) == self.home(document)), number))


@pytest.mark.parametrize("replicas", [1, 2, 4, 8])
def test_where_a_seat_is_free_a_document_stays_at_its_replica(replicas: int):
    service = Service(replicas)
    for document in service.neighbours("any", SEATS):  # all at one replica, and nothing anywhere else
        assert service.ask(document) == service.home("any")


@pytest.mark.parametrize("replicas", [2, 4, 8])
def test_a_busy_document_leaves_the_others_at_its_replica_their_room(replicas: int):
    service = Service(replicas)
    busy = Counter(service.ask("busy") for _ in range(SEATS))
    assert busy[service.home("busy")] == SEATS // 2
    assert set(busy) == set(service.ring("busy")[:2])
    for document in service.neighbours("busy", SEATS // 2):
        assert service.ask(document) == service.home("busy")


def test_a_document_that_asks_without_end_is_spread_over_all_replicas():
    service = Service(4)
    loads = Counter(service.ask("busy") for _ in range(400))
    assert max(loads.values()) <= ceil(FACTOR * 100)


def test_when_all_are_busy_the_next_on_the_ring_with_less_than_its_share_is_taken():
    ring, loads, own = "bcad", {"a": 9, "b": 30, "c": 27, "d": 19}, dict.fromkeys("abcd", 0)
    # 86 requests on four replicas: 27 are the most that one may have.
    assert bound(86, 4, SEATS) == 27
    assert in_order(ring, loads, own, SEATS) == ["a", "d", "c", "b"]


@given(
    replicas=st.integers(1, 8),
    seats=st.integers(1, 8),
    what=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 30)), max_size=80),
)
def test_no_replica_gets_more_than_its_share(replicas: int, seats: int, what: list[tuple[int, bool, int]]):
    service = Service(replicas, seats)
    for document, ends, request in what:
        if ends:
            service.ongoing.end(str(request))
            continue
        assert sorted(service.order(f"document-{document}")) == sorted(service.names)  # each is asked in the end
        all_but_it = sum(map(service.ongoing.at, service.names))
        chosen = service.ask(f"document-{document}")
        assert service.ongoing.at(chosen) <= max(seats, ceil(FACTOR * (all_but_it + 1) / replicas))


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("ab"), st.integers(0, 9), st.booleans())))
def test_what_is_counted_is_what_has_begun_and_not_ended(what: list[tuple[str, str, int, bool]]):
    ongoing: Ongoing[str] = Ongoing()
    there: dict[str, tuple[str, str]] = {}
    for number, (document, replica, which, ends) in enumerate(what):
        if ends:
            ongoing.end(str(which))
            there.pop(str(which), None)
        else:
            ongoing.begin(str(number), document, replica)
            there[str(number)] = (document, replica)
        for name in "ab":
            assert ongoing.at(name) == sum(at == name for _, at in there.values())
            for of in "xyz":
                assert ongoing.of(of, name) == list(there.values()).count((of, name))
