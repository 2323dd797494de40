"""Muon against torch's own, which computes in bfloat16, and against singular values."""

from copy import deepcopy

import pytest
import torch

from onnx_export.train.muon import Muon, orthogonalised

SHAPES = ((8, 8), (4, 8), (24, 8), (8, 24), (8, 24))


def matrices() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def test_steps_are_those_of_torch() -> None:
    ours, theirs = matrices(), matrices()
    optimiser = Muon(ours, 0.01, 0.9, 0.05, torch.float32)
    reference = torch.optim.Muon(theirs, lr=0.01, momentum=0.9, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        for mine, other, gradient in zip(ours, theirs, gradients(step), strict=True):
            mine.grad, other.grad = gradient, gradient.clone()
        optimiser.step()
        reference.step()
    start = matrices()
    for mine, other, begun in zip(ours, theirs, start, strict=True):
        moved = (other - begun).norm()
        assert (mine - other).norm() < 0.02 * moved  # theirs has 8 bits of precision
        assert moved > 0.01


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 5, 9), (2, 9, 5)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int, int]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    result = orthogonalised(given, torch.float32)
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    inner = left.mT @ result @ right.mT
    values = torch.diagonal(inner, dim1=1, dim2=2)
    assert ((values > 0.6) & (values < 1.3)).all()
    assert torch.allclose(inner, torch.diag_embed(values), atol=1e-4)


def test_a_matrix_without_a_gradient_stays_and_a_zero_one_moves_nothing() -> None:
    without, zero = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(2, 3))
    zero.grad = torch.zeros(2, 3)
    Muon([without, zero], 0.1, 0.9, 0.0, torch.float32).step()
    assert without.equal(torch.ones(2, 3))
    assert zero.equal(torch.ones(2, 3))


def test_its_state_is_saved_and_restored() -> None:
    one, other = matrices(), matrices()
    first, second = (Muon(each, 0.01, 0.9, 0.05, torch.float32) for each in (one, other))
    for matrix, gradient in zip(one, gradients(0), strict=True):
        matrix.grad = gradient
    first.step()
    second.load_state_dict(deepcopy(first.state_dict()))  # as a file would hold it
    for mine, copy in zip(one, other, strict=True):
        copy.data.copy_(mine.data)
        mine.grad = copy.grad = torch.ones_like(mine)
    first.step()
    second.step()
    assert all(mine.equal(copy) for mine, copy in zip(one, other, strict=True))
