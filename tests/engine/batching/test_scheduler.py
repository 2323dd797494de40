"""Which passes run together, in which order, and what happens to passes that fail or are cancelled."""

from functools import partial

import numpy as np
import pytest

from engine.batching.pass_queue import WIDEST_GAP
from engine.batching.seat_session import SeatSession
from engine.errors import Cancelled, DeviceError, DeviceMemoryError, WeightsError
from engine.types import FloatArray
from tests.engine.batching.sessions import LONG_S, Caller, WatchedSession, row_after, seats_over, wait_until
from tests.engine.runtime.caches import ids_of


def read(seat: SeatSession, *tokens: int) -> None:
    """Write ``tokens`` to the beginning of a seat's slot."""
    seat.forward(ids_of(*tokens), 0, ())


def step(seat: SeatSession, token: int, start: int) -> FloatArray:
    row: FloatArray = seat.forward(ids_of(token), start, (0,))[0]
    return row


def test_single_tokens_of_several_requests_are_one_pass():
    session = WatchedSession()
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    for number, seat in enumerate(seats):
        read(seat, *range(number + 2))
    session.log.clear()
    with scheduler.active(), scheduler.active(), scheduler.active():  # three requests: each waits for the two others
        callers = [Caller(partial(step, seats[number], 6, number + 2)) for number in (2, 0, 1)]
        rows = [caller.result() for caller in callers]
    assert session.log == [(0, 1, 2)]
    for number, row in zip((2, 0, 1), rows, strict=True):
        np.testing.assert_array_equal(row, row_after(*range(number + 2), 6))
    assert (scheduler.counts.steps, scheduler.counts.step_rows, scheduler.counts.idle_rows) == (1, 3, 0)


def test_a_request_that_does_something_else_is_not_waited_for():
    session = WatchedSession()
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    with scheduler.active(), scheduler.active():
        caller = Caller(partial(step, seats[0], 3, 0))
        wait_until(lambda: len(scheduler._waiting) == 1)
        assert not caller.is_done
        with scheduler.away():
            np.testing.assert_array_equal(caller.result(), row_after(3))


def test_slots_between_go_along_and_lose_nothing():
    session = WatchedSession()
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    for seat in seats:
        read(seat, 1, 2, 3)
    with scheduler.active(), scheduler.active():
        callers = [Caller(partial(step, seats[slot], 4, 3)) for slot in (0, WIDEST_GAP + 1)]
        for caller in callers:
            caller.result()
    assert session.log[-1] == tuple(range(WIDEST_GAP + 2))
    assert scheduler.counts.idle_rows == WIDEST_GAP
    for seat in seats[1 : WIDEST_GAP + 1]:
        np.testing.assert_array_equal(step(seat, 5, 3), row_after(1, 2, 3, 5))


def test_a_full_slot_between_does_not_go_along():
    session = WatchedSession(context_length=4)
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    read(seats[1], 1, 2, 3, 4)
    with scheduler.active(), scheduler.active():
        callers = [Caller(partial(step, seats[slot], 4, 0)) for slot in (0, 2)]
        for caller in callers:
            np.testing.assert_array_equal(caller.result(), row_after(4))
    assert sorted(session.log[1:]) == [(0,), (2,)]
    assert session.held[1] == [1, 2, 3, 4]


def test_a_gap_that_is_too_wide_makes_two_passes():
    session = WatchedSession(slots=8)
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    with scheduler.active(), scheduler.active(), scheduler.active():
        callers = [Caller(partial(step, seats[slot], 4, 0)) for slot in (0, 1, 7)]
        for caller in callers:
            caller.result()
    assert sorted(session.log) == [(0, 1), (7,)]


def test_chunks_and_steps_take_turns():
    session = WatchedSession()
    scheduler, seats = seats_over(session)
    session.gate.clear()
    first = Caller(partial(read, seats[3], 1, 2))
    assert session.began.acquire(timeout=LONG_S)  # runs; the others gather
    callers: list[Caller[object]] = [Caller(partial(read, seats[slot], 1, 2)) for slot in (0, 1)]
    callers.append(Caller(partial(step, seats[2], 1, 0)))
    wait_until(lambda: len(scheduler._waiting) == 3)
    session.gate.set()
    first.result()
    for caller in callers:
        caller.result()
    assert session.log[0] == (3,)
    assert sorted(session.log[1:3]) == [(0,), (1,)]
    assert session.log[3] == (2,)


def test_who_is_cancelled_in_line_leaves_at_once():
    session = WatchedSession()
    scheduler, seats = seats_over(session)
    session.gate.clear()
    busy = Caller(partial(read, seats[0], 1, 2))
    assert session.began.acquire(timeout=LONG_S)
    cancel = seats[1].interruptible()
    waiting = Caller(partial(step, seats[1], 3, 0))
    wait_until(lambda: len(scheduler._waiting) == 1)
    cancel()
    with pytest.raises(Cancelled):
        waiting.result()
    assert not busy.is_done  # the pass of the other request still runs
    session.gate.set()
    busy.result()
    assert session.log == [(0,)]


def test_who_is_cancelled_in_a_pass_with_others_leaves_at_once_and_they_go_on():
    session = WatchedSession()
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    session.gate.clear()
    cancel = seats[0].interruptible()
    with scheduler.active(), scheduler.active():
        gone, stays = (Caller(partial(step, seats[slot], 3, 0)) for slot in (0, 1))
        assert session.began.acquire(timeout=LONG_S)
        cancel()
        with pytest.raises(Cancelled):
            gone.result()
        assert not stays.is_done
        assert session.interrupted == [False]
        session.gate.set()
        np.testing.assert_array_equal(stays.result(), row_after(3))
    # What comes next in that slot is not affected by what the pass wrote.
    np.testing.assert_array_equal(step(seats[1], 4, 1), row_after(3, 4))


def test_a_pass_of_cancelled_requests_only_is_broken_off():
    session = WatchedSession()
    _, seats = seats_over(session)
    session.gate.clear()
    cancel = seats[0].interruptible()
    gone = Caller(partial(read, seats[0], 1, 2))
    assert session.began.acquire(timeout=LONG_S)
    cancel()
    with pytest.raises(Cancelled):
        gone.result()
    assert session.interrupted == [True]
    session.gate.set()
    np.testing.assert_array_equal(step(seats[1], 4, 0), row_after(4))
    with pytest.raises(Cancelled):
        step(seats[0], 4, 0)  # of the same request


def test_one_that_fails_does_not_hurt_the_others():
    session = WatchedSession()
    scheduler, seats = seats_over(session, patience_s=LONG_S)
    session.poison = 6
    with scheduler.active(), scheduler.active(), scheduler.active():
        bad = Caller(partial(step, seats[1], 6, 0))
        good = [Caller(partial(step, seats[slot], 2, 0)) for slot in (0, 2)]
        with pytest.raises(WeightsError, match="no numbers"):
            bad.result()
        for caller in good:
            np.testing.assert_array_equal(caller.result(), row_after(2))
    assert session.log == [(0, 1, 2), (0,), (1,), (2,)]


def test_what_is_no_error_of_ours_reaches_its_request_too_and_the_scheduler_goes_on():
    session = WatchedSession()
    _, seats = seats_over(session)
    with pytest.raises(AssertionError, match="never written"):
        step(seats[0], 1, 5)
    np.testing.assert_array_equal(step(seats[0], 1, 0), row_after(1))


def test_slots_that_were_given_up_for_want_of_memory_are_not_gone_on_with():
    session = WatchedSession()
    _, seats = seats_over(session)
    read(seats[0], 1, 2)
    read(seats[1], 1, 2)
    session.fail_at, session._context_length = session.calls + 1, 128
    with pytest.raises(DeviceError):
        step(seats[0], 1, 2)
    session.fail_at = None
    with pytest.raises(DeviceMemoryError, match="128"):
        step(seats[1], 1, 2)
    assert [seat.context_length for seat in seats] == [128, 128, 256, 256]
    np.testing.assert_array_equal(step(seats[1], 4, 0), row_after(4))


def test_the_thread_comes_back_after_a_pause(monkeypatch):
    monkeypatch.setattr("engine.batching.scheduler.IDLE_S", 0.0)
    session = WatchedSession()
    scheduler, seats = seats_over(session)
    for start in range(3):
        step(seats[0], 1, start)
        wait_until(lambda: scheduler._thread is None)


def test_a_sibling_has_buffers_of_its_own_and_waits_in_the_same_line():
    session = WatchedSession()
    scheduler, seats = seats_over(session)
    read(seats[0], 1, 2)
    other = seats[0].sibling()
    np.testing.assert_array_equal(step(other, 5, 0), row_after(5))
    np.testing.assert_array_equal(step(seats[0], 3, 2), row_after(1, 2, 3))
    assert (scheduler.counts.chunks, scheduler.counts.steps) == (2, 1)
    assert other.seconds >= 0.0
