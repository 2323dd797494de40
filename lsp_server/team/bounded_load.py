"""Which replica a request goes to: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016,
https://arxiv.org/abs/1608.01350). It knows nothing of Ray.

A document's requests go to the first replica on the hash ring, which has its keys and values, unless that one has more
than its share of all requests; then to the next. A document that asks for much at once gets half of a replica, so the
other documents there keep theirs.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

FACTOR = 1.25
"""A replica may have this many times the mean of all replicas: the paper's 1 + epsilon."""

ReplicaName = TypeVar("ReplicaName", bound=Hashable)


class Ongoing(Generic[ReplicaName]):
    """The requests that run or wait, as the one who sends them knows them."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[str, ReplicaName]] = {}
        self._of_replica: Counter[ReplicaName] = Counter()
        self._of_document: Counter[tuple[str, ReplicaName]] = Counter()

    def begin(self, request: str, document: str, replica: ReplicaName) -> None:
        """A replica has accepted a request of a document. ``request`` is its own name, used once."""
        self._all[request] = (document, replica)
        self._of_replica[replica] += 1
        self._of_document[document, replica] += 1

    def end(self, request: str) -> None:
        """It has ended. One that did not begin, or has ended before, changes nothing."""
        if request not in self._all:
            return
        document, replica = self._all.pop(request)
        self._of_replica[replica] -= 1
        self._of_document[document, replica] -= 1
        if not self._of_replica[replica]:
            del self._of_replica[replica]
        if not self._of_document[document, replica]:
            del self._of_document[document, replica]

    def at(self, replica: ReplicaName) -> int:
        """Number of requests at a replica."""
        return self._of_replica[replica]

    def of(self, document: str, replica: ReplicaName) -> int:
        """Number of those that are about a document."""
        return self._of_document[document, replica]


def bound(requests: int, replicas: int, seats: int) -> int:
    """The most requests that one of ``replicas`` may have if there are ``requests`` in all, the new one among them.

    Never fewer than its ``seats``, the requests that it works on at once: where a seat is free nobody waits, so there
    is nothing to gain from a replica that has not read the document.
    """
    return max(seats, 1, math.ceil(FACTOR * requests / replicas))


def in_order(
    ring: Sequence[ReplicaName], loads: Mapping[ReplicaName, int], own: Mapping[ReplicaName, int], seats: int
) -> list[ReplicaName]:
    """The replicas of ``ring`` in the order in which to ask them.

    ``ring`` begins with the one that the hash gives. ``loads`` has the requests at each replica of the model (at
    least those of ``ring``), and ``own`` those of them that are about the same document. First come the replicas
    with room, as on the ring; then the others, that with the fewest requests first.
    """
    most = bound(sum(loads.values()) + 1, len(loads), seats)
    most_own = max(1, most // 2)
    with_room = [replica for replica in ring if loads[replica] < most and own[replica] < most_own]
    others = [replica for replica in ring if replica not in with_room]
    return with_room + sorted(others, key=lambda replica: loads[replica])
