"""How likely a completion must be: the fit, and the point at which it is shown."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit_sureness import fit, operating_point
from benchmarks.shown_places import Shown
from benchmarks.sureness import FEATURES, Sureness, features
from lsp_server.completion.prompt import Code, Place, code_at
from lsp_server.documents.documents import Document
from tests.lsp_server.fakes import completion_of


def code(text: str) -> Code:
    before, after = text.split("|")
    return code_at(Document.create("file:///a.py", "python", 1, before + after), Place(len(before), len(before), ""))


def test_a_completion_has_every_feature():
    found = dict(zip(FEATURES, features(completion_of("path.join(a)"), code("a = 1\nx = os.p|)")), strict=True))
    assert found["one"] == 1
    assert found["logprob a token"] == -0.5
    assert (found["typed of the word"], found["behind a dot"], found["code after the cursor"]) == (1, 1, 1)
    assert found["names known"] == pytest.approx(1 / 3)  # ppath, join, a
    assert np.isfinite(list(found.values())).all()


def test_the_fit_finds_what_made_the_data():
    generator = np.random.default_rng(0)
    x = np.column_stack([np.ones(4000), generator.normal(2.0, 3.0, 4000), generator.normal(size=4000)])
    chance = 1 / (1 + np.exp(-(x[:, 1] - 2.0)))
    mean, scale, weights = fit(x, (generator.random(4000) < chance).astype(float))
    slope = weights / scale
    assert slope[1] == pytest.approx(1.0, abs=0.1)
    assert abs(slope[2]) < 0.1
    assert -(slope[1] * mean[1]) + weights[0] == pytest.approx(-2.0, abs=0.3)


def test_the_operating_point_is_where_kept_characters_outweigh_the_wrong_ones():
    shown = [Shown(10, 10, 1, False), Shown(10, 6, 1, False), Shown(10, 2, 1, False)]
    chances = np.array([0.9, 0.5, 0.1])
    assert [operating_point(chances, shown, cost) for cost in (0.1, 1.0, 4.0)] == [0.1, 0.5, 0.9]


def test_what_is_unlikely_has_a_low_probability():
    weights = np.zeros(len(FEATURES), np.float32)
    weights[FEATURES.index("logprob")] = 1.0
    sureness = Sureness(np.zeros_like(weights), np.ones_like(weights), weights, 0.3, 0.1)
    likely, unlikely = completion_of("one"), replace(completion_of("two"), logprob=-3.0)
    assert sureness.probability(likely, code("x = |")) == pytest.approx(1 / (1 + np.e))
    assert sureness.probability(unlikely, code("x = |")) == pytest.approx(1 / (1 + np.e**3))
