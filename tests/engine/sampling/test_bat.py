"""Basis-aware truncation against results that need no linear program, and against the whole program."""

import itertools

import numpy as np
import pytest

from engine.config import SamplingParams
from engine.sampling import History, build_chooser
from engine.sampling import bat as bat_module
from engine.sampling.bat import BasisAware
from tests.engine.sampling.rows import of_probabilities, support

linprog = pytest.importorskip("scipy.optimize").linprog
pytest.importorskip("highspy")


def orthonormal(rows: int, columns: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    return np.asarray(np.linalg.qr(matrix)[0] if columns else np.zeros((rows, 0)), np.float32)


def random_probabilities(size: int, seed: int) -> np.ndarray:
    logits = 2.0 * np.random.default_rng(seed).standard_normal(size)
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


def accepts_by_the_whole_program(probabilities: np.ndarray, token: int, basis: np.ndarray, threshold: float) -> bool:
    if probabilities[token] >= threshold:
        return True
    equal = np.vstack([np.ones(len(probabilities)), basis.T.astype(np.float64)])
    high = probabilities / (1 - threshold)
    high[token] = 0.0
    bounds = np.column_stack([np.zeros(len(high)), high])
    options = {"primal_feasibility_tolerance": 1e-10}
    found = linprog(np.zeros(len(high)), A_eq=equal, b_eq=equal @ probabilities, bounds=bounds, options=options)
    return bool(found.status == 2)


def test_without_a_column_it_is_epsilon_sampling():
    probabilities = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    rule = BasisAware(orthonormal(5, 0, 0), 0.1)
    assert [rule.accepts(probabilities, token) for token in range(5)] == [True, True, True, False, False]


def test_a_full_basis_leaves_no_freedom_so_everything_possible_is_accepted():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    rule = BasisAware(orthonormal(5, 5, 1), 0.2)
    assert [rule.accepts(probabilities, token) for token in range(5)] == [True, True, True, True, False]


def test_a_token_whose_direction_nobody_shares_must_be_meant():
    # One column that is 1 for token 3 and 0 elsewhere: its probability cannot move to other tokens.
    basis = np.array([[0], [0], [0], [1]], np.float32)
    probabilities = np.array([0.6, 0.3, 0.05, 0.05])
    rule = BasisAware(basis, 0.2)
    assert rule.accepts(probabilities, 3)
    assert not rule.accepts(probabilities, 2)


@pytest.mark.parametrize("columns", [1, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_columns_that_join_later_give_the_answer_of_the_whole_program(monkeypatch, columns, seed):
    monkeypatch.setattr(bat_module, "_COLUMNS", 6)
    basis, probabilities = orthonormal(60, columns, seed), random_probabilities(60, seed)
    rule = BasisAware(basis, 0.05)
    answers = [rule.accepts(probabilities, token) for token in range(60)]
    expected = [accepts_by_the_whole_program(probabilities, token, basis, 0.05) for token in range(60)]
    assert answers == expected
    assert any(answers)


def test_entries_without_room_and_directions_that_nobody_has_are_no_trouble():
    rule = BasisAware(np.array([[1, 0], [0, 0], [0, 0], [0, 0]], np.float32), 0.4)
    # The second column is empty; two entries are impossible.
    assert not rule.accepts(np.array([0.0, 0.7, 0.3, 0.0]), 2)
    assert not rule.accepts(np.array([1e-300, 0.7, 0.3, 0.0]), 2)


def test_a_larger_basis_accepts_more():
    probabilities = random_probabilities(40, 7)
    basis = orthonormal(40, 12, 7)
    accepted = [
        {
            token
            for token in range(40)
            if BasisAware(np.ascontiguousarray(basis[:, :c]), 0.08).accepts(probabilities, token)
        }
        for c in (0, 2, 6, 12)
    ]
    assert accepted == sorted(accepted, key=len)
    assert all(low <= high for low, high in itertools.pairwise(accepted))


def test_draws_follow_the_probabilities_of_what_is_accepted():
    logits = of_probabilities(0.5, 0.3, 0.12, 0.05, 0.03)
    chooser = build_chooser(
        SamplingParams("sample", bat=0.1, seed=3), basis_aware=BasisAware(orthonormal(5, 0, 0), 0.1)
    )
    counts = np.bincount([chooser.next_token(logits, History()) for _ in range(4000)], minlength=5)
    assert counts[3:].sum() == 0
    # A refused token is not put back: the others keep their ratios.
    expected = 4000 * np.array([0.5, 0.3, 0.12]) / 0.92
    assert ((counts[:3] - expected) ** 2 / expected).sum() < 13.8  # 2 degrees of freedom at 0.001


def test_another_truncation_narrows_what_is_drawn_not_what_is_judged():
    logits = of_probabilities(0.5, 0.3, 0.12, 0.05, 0.03)
    params = SamplingParams("sample", bat=0.1, top_k=2, seed=4)
    chooser = build_chooser(params, basis_aware=BasisAware(orthonormal(5, 0, 0), 0.1))
    assert {chooser.next_token(logits, History()) for _ in range(200)} == {0, 1}


def test_where_every_draw_is_refused_the_best_is_taken():
    logits = np.zeros(100, np.float32)
    logits[70] = 1e-3
    chooser = build_chooser(
        SamplingParams("sample", bat=0.4, seed=5), basis_aware=BasisAware(orthonormal(100, 0, 0), 0.4)
    )
    assert chooser.next_token(logits, History()) == 70


def test_on_covers_the_threshold_alone_counts():
    rule = BasisAware(orthonormal(5, 0, 0), 0.1)
    chooser = build_chooser(SamplingParams("sample", bat=0.1, seed=6), basis_aware=rule).for_covers(None)
    assert support(chooser.shape(of_probabilities(0.5, 0.3, 0.12, 0.05, 0.03, 0.0))) == {0, 1, 2}
