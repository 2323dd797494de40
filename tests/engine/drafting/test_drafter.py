"""A drafter against the plain loop: the same tokens in fewer passes, the same frequencies, and when it stays out."""

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.decoding.decode import Rows, decode
from engine.drafting.drafter import Drafter
from engine.drafting.experience import Experience
from engine.drafting.lookup import Lookup
from engine.healing.k_step import Cover
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser
from engine.types import CancellationToken, FloatArray, TokenIds
from tests.fakes import FakeSession, LogitsOf, hash_model

SIZE = 6
CONTROL = np.zeros(SIZE, np.bool_)
PROMPT = [1, 2, 3, 4, 5, 1, 2]


class Clock:
    """A clock on which only the model takes time: ``seconds`` for a pass over that many tokens."""

    def __init__(self, session: FakeSession, extra: float) -> None:
        self.session = session
        self.extra = extra

    def __call__(self) -> float:
        return self.session.calls + self.extra * (self.session.tokens - self.session.calls)


def parts(
    model: LogitsOf, extra: float = 0.1, experience: Experience | None = None
) -> tuple[TokenCache, Drafter, FakeSession]:
    session = FakeSession(model, context_length=64)
    cache = TokenCache(session)
    lookup = Lookup(np.array(PROMPT, np.int32), len(PROMPT), 64, CONTROL)
    drafter = Drafter(
        cache,
        experience or Experience(),
        lookup,
        lambda tokens, length: len(tokens),
        Clock(session, extra),
    )
    return cache, drafter, session


def written(rows: Rows, params: SamplingParams, count: int) -> TokenIds:
    cover = Cover(len(PROMPT), (), 3, 0, -0.5)
    prompt = np.array(PROMPT, np.int32)
    steps = decode(rows, prompt, cover, build_chooser(params), SIZE, Checkpoint(CancellationToken(), math.inf))
    return tuple(step.token for step in islice(steps, count))


def counting(history: TokenIds) -> FloatArray:
    """A model that repeats a cycle, as the prompt does."""
    row = np.zeros(SIZE, np.float32)
    row[history[-1] % 5 + 1] = 9.0
    return row


def test_a_repeated_text_takes_fewer_passes():
    cache, drafter, session = parts(counting)
    expected = written(cache, SamplingParams(), 31)
    plain = session.calls
    _, drafter, session = parts(counting)
    assert written(drafter, SamplingParams(), 31) == expected
    assert session.calls < plain / 3
    counts = drafter.counts
    assert counts.lookup_accepted > 20
    assert counts.lookup_accepted <= counts.lookup_drafted
    assert (counts.model_drafted, counts.model_accepted) == (0, 0)


@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.sampled_from(["greedy", "sample"]),
    st.floats(0, 1),
    st.sampled_from([SamplingParams(), SamplingParams(repetition_penalty=1.3), SamplingParams(no_repeat_ngram=3)]),
)
def test_the_tokens_are_those_of_the_plain_loop(salt, order, strategy, extra, penalties):
    model = hash_model(SIZE, order=order, salt=salt)
    params = SamplingParams(
        strategy,
        seed=salt,
        repetition_penalty=penalties.repetition_penalty,
        no_repeat_ngram=penalties.no_repeat_ngram,
    )
    cache, _, _ = parts(model)
    _, drafter, _ = parts(model, extra)
    assert written(drafter, params, 40) == written(cache, params, 40)


def test_drawn_tokens_have_the_frequencies_of_the_model():
    """A chi-square test on pairs of tokens; in some of the draws the second token was drafted."""
    model = hash_model(SIZE, order=1, scale=1.0)
    experience, accepted = Experience(), 0
    pairs: Counter[TokenIds] = Counter()
    draws = 4000
    for seed in range(draws):
        _, drafter, _ = parts(model, 0.0, experience)
        pairs[written(drafter, SamplingParams("sample", seed=seed), 3)[1:]] += 1
        accepted += drafter.counts.lookup_accepted
    assert accepted > draws / 50

    def shares(token: int) -> NDArray[np.float64]:
        weights = np.exp(model((token,)).astype(np.float64))
        share: NDArray[np.float64] = weights / weights.sum()
        return share

    expected = {(a, b): draws * shares(3)[a] * shares(a)[b] for a in range(SIZE) for b in range(SIZE)}
    square = sum((pairs[pair] - count) ** 2 / count for pair, count in expected.items())
    assert square < 66.6  # 35 degrees of freedom: exceeded once in a thousand runs


def test_where_rows_are_dear_no_draft_is_verified():
    _, drafter, session = parts(hash_model(SIZE), extra=1.0)
    experience = Experience()
    for _ in range(20):
        _, drafter, session = parts(hash_model(SIZE), 1.0, experience)
        written(drafter, SamplingParams(), 31)
    assert drafter.counts.lookup_drafted == 0
    assert session.calls == session.tokens - len(PROMPT)


def test_drafts_that_are_wrong_are_given_up_and_come_back_when_they_would_be_right():
    experience = Experience()
    against = hash_model(SIZE, order=9)
    for _ in range(30):
        _, drafter, _ = parts(against, 0.3, experience)
        written(drafter, SamplingParams(), 50)
    given_up = drafter.counts.lookup_drafted
    for _ in range(30):
        _, drafter, _ = parts(counting, 0.3, experience)
        written(drafter, SamplingParams(), 50)
    assert given_up <= 10
    assert drafter.counts.lookup_accepted >= 35


@pytest.mark.parametrize("room", [0, 1, 2, 5])
def test_a_draft_ends_with_the_cache(room: int):
    session = FakeSession(counting, context_length=len(PROMPT) + 1 + room)
    cache = TokenCache(session)
    lookup = Lookup(np.array(PROMPT, np.int32), len(PROMPT), cache.capacity, CONTROL)
    drafter = Drafter(cache, Experience(), lookup, lambda tokens, length: len(tokens), Clock(session, 0.0))
    assert len(written(drafter, SamplingParams(), 100)) == room + 2
