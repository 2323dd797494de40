"""Muon: momentum whose directions have nearly equal length, for the weight matrices of the layers.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the size of a step matched to
AdamW's (J. Liu et al., "Muon is Scalable for LLM Training", 2025, arXiv:2502.16982).

`torch.optim.Muon` computes the same, but always in bfloat16 and one matrix after the other. On a processor without
instructions for bfloat16 that took two thirds of a training step, and all of it with a model of 135 M parameters.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the polynomial that brings singular values near to 1, whatever they were (Jordan et al.)."""
ROUNDS = 5
MATCHED_RMS = 0.2
"""Root mean square of AdamW's usual update (Liu et al., section 2.2)."""
LEAST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov's momentum and decoupled weight decay; products in ``dtype``."""

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Move every matrix that has a gradient. Matrices of one shape are orthogonalised in one product."""
        assert closure is None, "a loss is never computed again here"
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                updates = torch.stack([self._with_momentum(matrix, group["momentum"]) for matrix in matrices])
                rate = group["lr"] * MATCHED_RMS * max(shape) ** 0.5
                for matrix, update in zip(matrices, orthogonalised(updates, self._dtype), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.sub_(update.to(matrix.dtype), alpha=rate)

    def _with_momentum(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        average: torch.Tensor = state["momentum_buffer"]
        average.lerp_(matrix.grad, 1 - momentum)
        return torch.lerp(matrix.grad, average, momentum)


def orthogonalised(matrices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Matrices ``[N, R, C]`` with their singular vectors, and with singular values near to 1 (about 0.7 to 1.2)."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    result = (matrices.mT if tall else matrices).to(dtype)
    result = result / result.norm(dim=(1, 2), keepdim=True).clamp(min=LEAST_NORM)
    for _ in range(ROUNDS):
        gram = result @ result.mT
        result = torch.baddbmm(result, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return result.mT if tall else result
