"""The decode loop: nothing is computed early, the cache is rewound to the cover, and it stops between two forward
passes.
"""

import math
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SamplingParams
from engine.decoding.decode import DecodeStep, decode
from engine.errors import Cancelled, DeviceError
from engine.healing.k_step import Cover
from engine.runtime.checkpoint import BudgetExceeded, Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser, log_softmax
from engine.types import CancellationToken, TokenIds
from tests.fakes import FakeSession, hash_model

SIZE = 9
MODEL = hash_model(SIZE, order=1000)
GREEDY = build_chooser(SamplingParams())


def cover(kept: int, token: int = 5, extra: TokenIds = ()) -> Cover:
    return Cover(kept, extra, token, 2, -0.5)


def start(
    prompt: list[int], first: Cover, *, session: FakeSession | None = None, cancel: CancellationToken | None = None,
    deadline: float = math.inf,
) -> tuple[Iterator[DecodeStep], FakeSession]:  # fmt: skip
    session = session or FakeSession(MODEL, context_length=32)
    cache = TokenCache(session)
    checkpoint = Checkpoint(cancel or CancellationToken(), deadline)
    cache.prefill(np.array(prompt, np.int32), (len(prompt) - 1,), lambda: None)
    session.reset_counts()
    return decode(cache, np.array(prompt, np.int32), first, GREEDY, SIZE, checkpoint), session


def greedy_from_scratch(history: list[int], count: int) -> list[tuple[int, float]]:
    written = []
    for _ in range(count):
        logprobs = log_softmax(MODEL(tuple(history)))
        token = int(np.argmax(logprobs))
        written.append((token, float(logprobs[token])))
        history = [*history, token]
    return written


@given(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=8), st.data())
def test_the_loop_writes_what_computing_from_scratch_would(prompt, data):
    kept = data.draw(st.integers(1, len(prompt)))
    extra = tuple(data.draw(st.lists(st.integers(0, SIZE - 1), max_size=2)))
    first = cover(kept, token=data.draw(st.integers(0, SIZE - 1)), extra=extra)
    steps, _ = start(prompt, first)
    expected = [(first.token, first.logprob), *greedy_from_scratch([*prompt[:kept], *extra, first.token], 5)]
    assert [(step.token, step.logprob) for step in islice(steps, 6)] == expected


def test_the_first_token_costs_no_forward_pass():
    steps, session = start([1, 2, 3], cover(3))
    assert next(steps) == DecodeStep(5, 2, -0.5)
    assert session.calls == 0


def test_every_further_token_costs_one_pass_over_one_token():
    steps, session = start([1, 2, 3], cover(2))
    later = [step.typed for step in islice(steps, 1, 5)]
    assert later == [0, 0, 0, 0]
    assert (session.calls, session.tokens) == (4, 4)


def test_tokens_off_the_path_are_run_before_the_first_step_that_needs_them():
    steps, session = start([1, 2, 3], cover(1, extra=(7, 8)))
    next(steps)
    assert session.calls == 0
    next(steps)
    assert session.tokens == 3
    assert session.written == [1, 7, 8, 5]


def test_several_covers_of_one_prompt_one_after_the_other():
    prompt = [1, 2, 3, 4]
    session = FakeSession(MODEL, context_length=32)
    cache = TokenCache(session)
    for first in (cover(4, 1), cover(3, 2), cover(2, 3, (8,)), cover(4, 4)):
        steps = decode(cache, np.array(prompt, np.int32), first, GREEDY, SIZE, Checkpoint(CancellationToken()))
        tokens = [step.token for step in islice(steps, 4)]
        expected = greedy_from_scratch([*prompt[: first.kept], *first.extra, first.token], 3)
        assert tokens[1:] == [token for token, _ in expected]


def test_the_loop_ends_where_the_cache_is_full():
    steps, session = start([1] * 28, cover(28))
    # Four positions are left: four tokens can be read, and one more can be written after them.
    assert len(list(steps)) == 5
    assert len(session.written) == 32


def test_rows_beyond_the_vocabulary_are_never_chosen_and_hold_no_mass():
    def padded(history: TokenIds) -> np.ndarray:
        return np.concatenate([MODEL(history), np.full(50, 1e4, np.float32)])

    steps, _ = start([1, 2], cover(2), session=FakeSession(padded, context_length=32))
    plain, _ = start([1, 2], cover(2))
    assert list(islice(steps, 8)) == list(islice(plain, 8))


@pytest.mark.parametrize("calls", [1, 3])
def test_cancelling_takes_effect_before_the_next_pass(calls):
    token = CancellationToken()
    steps, session = start([1, 2], cover(2), cancel=token)
    session.cancel_at = (calls, token)
    with pytest.raises(Cancelled):
        list(steps)
    assert session.calls == calls


def test_a_deadline_that_has_passed_ends_the_loop_before_the_next_pass():
    steps, session = start([1, 2], cover(2), deadline=time.monotonic() - 1)
    assert next(steps).token == 5
    with pytest.raises(BudgetExceeded):
        next(steps)
    assert session.calls == 0


def test_a_failing_device_is_reported():
    steps, session = start([1, 2], cover(2))
    session.fail_at = 2
    with pytest.raises(DeviceError):
        list(steps)


def test_the_checkpoint_prefers_cancellation():
    token = CancellationToken()
    Checkpoint(token)()
    token.cancel()
    with pytest.raises(Cancelled):
        Checkpoint(token, deadline=0.0)()
