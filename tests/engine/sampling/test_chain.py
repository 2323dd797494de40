"""Combinations of strategies: a chain never empties the support, the seed decides, draws keep their distribution."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import DRAWS, SEARCHES, STRATEGIES, SamplingParams
from engine.errors import RequestError
from engine.sampling import History, build_chooser
from engine.types import CompletionRequest
from tests.engine.sampling.rows import INF, of_probabilities, row, rows, support
from tests.strategies import drawing_params

histories = st.builds(
    lambda before, written: History(np.array(before, np.int32), written),
    st.lists(st.integers(0, 11), max_size=8),
    st.lists(st.integers(0, 11), max_size=8),
)


@given(rows, drawing_params(), histories, st.data())
def test_no_chain_empties_the_support_or_draws_what_is_ruled_out(logits, params, history, data):
    other = data.draw(st.lists(st.floats(-80, 80, width=32), min_size=len(logits), max_size=len(logits)))
    chooser = build_chooser(params, reference=lambda history: row(*other))
    shaped = chooser.shape(logits, history)
    assert not np.isnan(shaped).any()
    assert support(shaped)
    assert support(shaped) <= support(logits)
    assert chooser.next_token(logits, history) in support(shaped)


@given(rows, drawing_params(), histories)
def test_the_same_seed_gives_the_same_tokens(logits, params, history):
    left, right = build_chooser(params), build_chooser(params)
    assert [left.next_token(logits, history) for _ in range(5)] == [right.next_token(logits, history) for _ in range(5)]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams("sample", min_p=0.3, seed=1),
        SamplingParams("sample", top_n_sigma=1.0, seed=2),
        SamplingParams("sample", eta=0.2, seed=3),
        SamplingParams("sample", epsilon=0.11, top_p=0.9, seed=4),
        SamplingParams("edt", seed=5),
        SamplingParams("adapt", seed=6),
        SamplingParams("entropy-gate", gate_entropy_bits=0.5, seed=7),
        SamplingParams("sample", presence_penalty=1.0, top_k=3, seed=8),
    ],
)
def test_draws_follow_the_shaped_row(params):
    logits = of_probabilities(0.4, 0.25, 0.15, 0.1, 0.1, 0.0)
    history = History(np.zeros(0, np.int32), [0])
    chooser = build_chooser(params)
    weights = np.exp(chooser.shape(logits, history).astype(np.float64))
    probabilities = weights / weights.sum()
    counts = np.bincount([chooser.next_token(logits, history) for _ in range(8000)], minlength=6)
    assert counts[probabilities == 0].sum() == 0
    expected = 8000 * probabilities[probabilities > 0]
    assert ((counts[probabilities > 0] - expected) ** 2 / expected).sum() < 20.5  # 5 degrees of freedom at 0.001


def test_a_draw_from_a_whole_vocabulary_keeps_its_distribution():
    # More entries than one block of the summation, with the mass at the ends of blocks and in between.
    logits = np.full(5000, -INF, np.float32)
    likely = [0, 511, 512, 513, 2000, 4607, 4608, 4999]
    logits[likely] = np.log(np.arange(1, 9)).astype(np.float32)
    full = np.where(np.isinf(logits), np.float32(-200), logits)
    for candidate in (logits, full):
        chooser = build_chooser(SamplingParams("sample", seed=9))
        counts = np.bincount([chooser.choose(candidate) for _ in range(7200)], minlength=5000)
        expected = 200 * np.arange(1, 9)
        assert counts.sum() == counts[likely].sum()
        assert ((counts[likely] - expected) ** 2 / expected).sum() < 24.3  # 7 degrees of freedom at 0.001


def test_temperature_0_is_greedy_whatever_the_strategy():
    for strategy in DRAWS:
        chooser = build_chooser(SamplingParams(strategy, temperature=0.0))
        assert [chooser.choose(row(1, 3, 3)) for _ in range(5)] == [1] * 5


@pytest.mark.parametrize("strategy", SEARCHES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.7), ("top_k", 5), ("top_p", 0.9), ("min_p", 0.1), ("top_n_sigma", 1.0), ("eta", 1e-3),
     ("epsilon", 1e-3), ("bat", 1e-3)],
)  # fmt: skip
def test_what_only_draws_use_is_refused_by_name_where_nothing_is_drawn(strategy, name, value):
    with pytest.raises(RequestError, match=rf"^{name} is {value:g}, but strategy {strategy} draws nothing; it must be"):
        SamplingParams(strategy, **{name: value})


def test_more_candidates_than_the_beam_is_wide_are_refused():
    for strategy in ("beam", "best-first"):
        with pytest.raises(RequestError, match=r"^max_completions is 3 but beam_width is 2; it must be at most 2$"):
            CompletionRequest("x", max_completions=3, sampling=SamplingParams(strategy, beam_width=2))
        CompletionRequest("x", max_completions=2, sampling=SamplingParams(strategy, beam_width=2))


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("min_p", -0.1, 1.1), ("top_n_sigma", -1.0, 101.0), ("eta", -1e-9, 1.1), ("epsilon", -1e-9, 1.1),
        ("bat", -1e-9, 0.51), ("repetition_penalty", 0.0, 10.1), ("frequency_penalty", -2.1, 2.1),
        ("presence_penalty", -2.1, 2.1), ("no_repeat_ngram", -1, 65), ("edt_base", 0.0, 1.1),
        ("edt_theta", -0.1, 101.0), ("adapt_line_start", 0.0, 10.1), ("adapt_elsewhere", 0.0, 10.1),
        ("adapt_top_p", 0.0, 1.1), ("kl_sigma", 0.0, 1001.0), ("gate_entropy_bits", -0.1, 33.0),
        ("gate_varentropy_bits", -0.1, 1025.0), ("gate_temperature", 0.9, 10.1), ("gate_top_p", 0.0, 1.1),
        ("sed_ratio", 0.0, 1.1), ("sed_branches", 1, 17), ("sed_tokens", 0, 65), ("beam_width", 0, 65),
        ("length_alpha", -0.1, 5.1), ("branches", 0, 65),
    ],
)  # fmt: skip
def test_every_parameter_has_a_range_and_says_it(name, below, above):
    for value in itertools.chain([below, above], [float("nan")] if isinstance(below, float) else [1.5]):
        with pytest.raises(RequestError, match=f"^{name} is .*must be"):
            SamplingParams(**{name: value})


def test_every_strategy_has_its_defaults():
    assert {SamplingParams(strategy).strategy for strategy in STRATEGIES} == set(STRATEGIES)
