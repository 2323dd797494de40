"""Our functions on rows against transformers' own processors, for those that it has."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.sampling.penalties import no_repeat_ngram, repetition_penalty
from engine.sampling.rows import Transform
from engine.sampling.temperature import temperature
from engine.sampling.truncation import epsilon, eta, min_p, top_k, top_n_sigma, top_p
from engine.types import FloatArray

HISTORY = [3, 5, 3, 5, 9, 3]
PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Transform]]] = {
    "temperature": (lambda: transformers.TemperatureLogitsWarper(0.7), lambda: temperature(0.7)),
    "top-k": (lambda: transformers.TopKLogitsWarper(20), lambda: top_k(20)),
    "top-p": (lambda: transformers.TopPLogitsWarper(0.9), lambda: top_p(0.9)),
    "min-p": (lambda: transformers.MinPLogitsWarper(0.05), lambda: min_p(0.05)),
    "epsilon": (lambda: transformers.EpsilonLogitsWarper(3e-4), lambda: epsilon(3e-4)),
    "eta": (lambda: transformers.EtaLogitsWarper(3e-4), lambda: eta(3e-4)),
    "repetition": (
        lambda: transformers.RepetitionPenaltyLogitsProcessor(1.3),
        lambda: repetition_penalty(HISTORY, 1.3),
    ),
    "no-repeat": (lambda: transformers.NoRepeatNGramLogitsProcessor(2), lambda: no_repeat_ngram(HISTORY, 2)),
}


def theirs(processor: Any, row: FloatArray) -> FloatArray:
    scores = processor(torch.tensor([HISTORY]), torch.from_numpy(row[None].copy()))
    result: FloatArray = scores[0].numpy()
    return result


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("size", [12, 500, 20_000])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_a_row_comes_out_as_from_transformers(name: str, size: int, spread: float):
    make_theirs, make_ours = PAIRS[name]
    for seed in range(5):
        row = (spread * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)
        if size <= 12 and name == "top-k":
            continue
        expected, found = theirs(make_theirs(), row), make_ours()(row)
        differing = np.flatnonzero(np.isinf(expected) != np.isinf(found))
        # An entry at the very edge may fall on either side: the sums are rounded differently.
        assert len(differing) <= (2 if name in ("top-p", "eta", "epsilon") else 0)
        both = np.isfinite(expected) & np.isfinite(found)
        shift = expected[both][0] - found[both][0]  # ours are shifted by the largest logit; the probabilities are equal
        np.testing.assert_allclose(found[both] + shift, expected[both], atol=2e-4)


@pytest.mark.skipif(not hasattr(transformers, "TopNSigmaLogitsWarper"), reason="transformers has none")
def test_top_n_sigma_comes_out_as_from_transformers():
    row = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    expected = theirs(transformers.TopNSigmaLogitsWarper(1.0), row)
    np.testing.assert_array_equal(np.isinf(expected), np.isinf(top_n_sigma(1.0)(row)))
