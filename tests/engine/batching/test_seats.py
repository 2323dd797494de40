"""Which request gets which seat, which waits, and which is refused."""

import threading
from contextlib import ExitStack
from functools import partial

import pytest

from engine.batching.seats import Seats
from engine.errors import BatchFull, Cancelled
from engine.types import CancellationToken
from tests.engine.batching.sessions import Caller, wait_until


def never() -> CancellationToken:
    return CancellationToken()


def seat_of(seats: Seats[int], document: str) -> int:
    with seats.sit(document, never()) as seat:
        return seat


def test_a_document_comes_back_to_its_seat():
    seats = Seats(range(3), 0)
    first = [seat_of(seats, name) for name in "abc"]
    assert sorted(first) == [0, 1, 2]
    assert [seat_of(seats, name) for name in "bcab"] == [first[1], first[2], first[0], first[1]]


def test_a_new_document_takes_the_seat_that_was_left_longest_ago():
    seats = Seats(range(3), 0)
    places = {name: seat_of(seats, name) for name in "abc"}
    seat_of(seats, "a")
    assert seat_of(seats, "d") == places["b"]
    assert seat_of(seats, "e") == places["c"]
    assert seat_of(seats, "a") == places["a"]


def test_a_seat_that_is_taken_is_not_given_away():
    seats = Seats(range(2), 0)
    with seats.sit("a", never()) as first, seats.sit("b", never()) as second:
        assert {first, second} == {0, 1}
        assert seats.taken == 2


def test_who_comes_when_all_is_full_is_told_when_to_come_again():
    clock = iter([0.0, 2.0, 2.0, 0.0, 0.0])
    seats = Seats(range(1), 0, lambda: next(clock))
    seat_of(seats, "a")
    with seats.sit("b", never()):
        with pytest.raises(BatchFull, match="ask again in 2 s") as refused:
            seat_of(seats, "c")
        assert refused.value.retry_after_s == 2.0
    assert (seats.refused, seats.waiting, seats.taken) == (1, 0, 0)


def test_without_experience_there_is_a_time_to_come_again_too():
    seats = Seats(range(1), 0)
    with seats.sit("a", never()), pytest.raises(BatchFull) as refused:
        seat_of(seats, "b")
    assert refused.value.retry_after_s > 0


def test_who_waits_gets_the_next_seat_in_the_order_of_the_line():
    seats = Seats(range(1), 8)
    order: list[str] = []

    def in_line(count: int) -> bool:
        return seats.waiting == count

    def sit(name: str) -> None:
        with seats.sit(name, never()):
            order.append(name)

    callers = []
    with seats.sit("a", never()):
        for number, name in enumerate("bcde"):
            callers.append(Caller(partial(sit, name)))
            wait_until(partial(in_line, number + 1))
    for caller in callers:
        caller.result()
    assert order == list("bcde")


def test_who_waits_for_the_seat_of_its_own_document_is_overtaken_by_others_only():
    seats = Seats(range(2), 8)
    with ExitStack() as stack:
        own = stack.enter_context(seats.sit("a", never()))
        later = Caller(lambda: seat_of(seats, "a"))
        wait_until(lambda: seats.waiting == 1)
        assert seat_of(seats, "b") == 1 - own  # another seat is free, but it does not have the keys and values of "a"
        assert not later.is_done
    assert later.result() == own


def test_who_is_cancelled_in_line_leaves_it():
    seats = Seats(range(1), 1)
    cancel = CancellationToken()
    with seats.sit("a", never()):
        waiting = Caller(lambda: seats.sit("b", cancel).__enter__())
        wait_until(lambda: seats.waiting == 1)
        cancel.cancel()
        with pytest.raises(Cancelled):
            waiting.result()
        assert seats.waiting == 0
    assert seat_of(seats, "c") == 0


def test_who_is_cancelled_before_it_comes_leaves_no_trace():
    seats = Seats(range(1), 1)
    cancel = CancellationToken()
    cancel.cancel()
    with seats.sit("a", never()), pytest.raises(Cancelled), seats.sit("b", cancel):
        pass
    assert (seats.waiting, seats.taken) == (0, 0)


def test_a_request_that_fails_leaves_its_seat():
    seats = Seats(range(1), 0)
    with pytest.raises(RuntimeError, match="whatever"), seats.sit("a", never()):
        raise RuntimeError("whatever")
    assert seats.taken == 0


def test_no_two_sit_in_one_seat_whoever_comes_and_goes():
    seats = Seats(range(3), 100)
    sitting: set[int] = set()
    lock = threading.Lock()

    def come_and_go(name: str) -> None:
        for _ in range(30):
            with seats.sit(name, never()) as seat:
                with lock:
                    assert seat not in sitting
                    sitting.add(seat)
                with lock:
                    sitting.remove(seat)

    callers = [Caller(partial(come_and_go, name)) for name in "aabcdefg"]
    for caller in callers:
        caller.result()
    assert (seats.taken, seats.waiting, seats.refused) == (0, 0, 0)
