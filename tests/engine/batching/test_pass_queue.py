"""Which pass is next, and how long a pass has to wait, whatever other requests ask for."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.batching.pass_queue import TURN_TOKENS, WIDEST_GAP, AnyWork, PassQueue
from engine.batching.work import Interruption, Pass
from tests.engine.batching.sessions import WatchedSession
from tests.engine.runtime.caches import ids_of


def queue_of(slots: int) -> tuple[PassQueue, WatchedSession]:
    session = WatchedSession(slots=slots, context_length=64)
    return PassQueue(session), session


def work(session: WatchedSession, slot: int, length: int = 1) -> Pass:
    return Pass(session, slot, 64, Interruption(), ids_of(*[1] * length), 0, ())


def slots_of(works: Sequence[AnyWork]) -> list[int]:
    return [work.slot for work in works]


@given(st.data(), st.integers(1, 12))
def test_no_pass_waits_for_more_others_than_the_number_of_slots_allows(data, slots):
    """Every slot asks again as soon as it has its result, or later, for steps and chunks in any mixture."""
    queue, session = queue_of(slots)
    asked: dict[int, int] = {}
    groups = -(-slots // (WIDEST_GAP + 2))
    most = {True: slots + 2 * groups, False: slots * (1 + groups)}
    for passes in range(60):
        free = [slot for slot in range(slots) if slot not in asked]
        for slot in data.draw(st.permutations(free)):
            if not asked or data.draw(st.booleans()):
                queue.add(work(session, slot, data.draw(st.sampled_from([1, 5, 40]))))
                asked[slot] = passes
        for done in queue.take():
            assert passes - asked.pop(done.slot) <= most[done.can_join]


def asked_again(queue: PassQueue, session: WatchedSession, lengths: dict[int, int], passes: int) -> list[list[int]]:
    """The slots of some passes if every slot asks again at once, for as many tokens as ``lengths`` says."""
    taken = []
    for _ in range(passes):
        works = queue.take()
        taken.append(slots_of(works))
        for done in works:
            queue.add(work(session, done.slot, lengths[done.slot]))
    return taken


def test_single_tokens_that_are_too_far_apart_for_one_pass_do_not_starve_a_chunk():
    queue, session = queue_of(WIDEST_GAP + 5)
    lengths = {0: 1, WIDEST_GAP + 3: 1, 1: TURN_TOKENS}
    for slot in (0, WIDEST_GAP + 3):
        queue.add(work(session, slot))
    assert asked_again(queue, session, lengths, 1) == [[0]]
    queue.add(work(session, 1, TURN_TOKENS))
    assert asked_again(queue, session, lengths, 6) == [[WIDEST_GAP + 3], [1], [0], [WIDEST_GAP + 3], [1], [0]]


def test_short_chunks_that_are_asked_again_at_once_do_not_starve_a_single_token():
    queue, session = queue_of(3)
    for slot, length in ((1, 2), (2, 2), (0, 1)):
        queue.add(work(session, slot, length))
    assert asked_again(queue, session, {0: 1, 1: 2, 2: 2}, 8) == [[1], [2], [1], [0], [2], [1], [2], [0]]


def test_single_tokens_go_together_and_longer_passes_alone():
    queue, session = queue_of(4)
    for slot, length in ((2, 1), (0, 1), (1, 5), (3, 1)):
        queue.add(work(session, slot, length))
    assert slots_of(queue.take()) == [1]
    assert slots_of(queue.take()) == [0, 2, 3]
    assert len(queue) == 0


def test_the_two_kinds_take_turns():
    queue, session = queue_of(4)
    for slot in (0, 1):
        queue.add(work(session, slot, TURN_TOKENS))
    order = []
    for _ in range(2):
        queue.add(work(session, 3))
        order += [slots_of(queue.take()), slots_of(queue.take())]
    assert order == [[0], [3], [1], [3]]


def test_short_chunks_share_a_turn():
    queue, session = queue_of(5)
    queue.add(work(session, 4))
    for slot, length in ((0, TURN_TOKENS - 20), (1, 20), (2, 2)):
        queue.add(work(session, slot, length))
    assert [slots_of(queue.take()) for _ in range(4)] == [[0], [1], [4], [2]]


def test_slots_too_far_apart_go_one_after_the_other_without_waiting_again():
    queue, session = queue_of(WIDEST_GAP + 4)
    for slot in (WIDEST_GAP + 3, 0, 1):
        queue.add(work(session, slot))
    assert not queue.may_begin(active=4)
    assert queue.may_begin(active=3)
    assert slots_of(queue.take()) == [WIDEST_GAP + 3]
    assert queue.may_begin(active=4)
    assert slots_of(queue.take()) == [0, 1]


def test_a_chunk_waits_for_nobody():
    queue, session = queue_of(2)
    queue.add(work(session, 0, 5))
    assert queue.may_begin(active=2)


def test_a_pass_of_another_session_goes_alone():
    queue, session = queue_of(2)
    other = work(session, 0)
    other.is_shared = False
    for waiting in (work(session, 0), other, work(session, 1)):
        queue.add(waiting)
    assert [queue.take(), slots_of(queue.take())] == [[other], [0, 1]]
