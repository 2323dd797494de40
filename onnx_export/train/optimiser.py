"""The optimiser: Muon for the matrices of the layers, AdamW for the embedding, the head and the norm gains.

On this recipe's budget of some two thousand steps Muon reaches the loss of plain AdamW in about half of the steps, for
little more time a step (docs/models.md has the comparison).
"""

from collections.abc import Sequence
from typing import Any

import torch

from onnx_export.train.muon import Muon

MOMENTUM = 0.95
BETAS = (0.9, 0.95)


class Optimiser:
    """Muon (with its products in ``dtype``) and AdamW behind the interface of one torch optimiser, with one factor for
    all their learning rates.
    """

    def __init__(
        self, model: Any, matrix_rate: float, embedding_rate: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        named = list(model.named_parameters())  # a tied head is not named a second time
        matrices = [parameter for name, parameter in named if _is_layers_matrix(name, parameter)]
        others = [parameter for name, parameter in named if not _is_layers_matrix(name, parameter)]
        self._rates = (matrix_rate, embedding_rate)
        self._parts: Sequence[torch.optim.Optimizer] = (
            Muon(matrices, matrix_rate, MOMENTUM, weight_decay, dtype),
            torch.optim.AdamW(others, lr=embedding_rate, betas=BETAS, weight_decay=0.0, fused=True),
        )

    def step(self, rate_factor: float) -> None:
        """One update, with every learning rate multiplied by `rate_factor`."""
        for part, rate in zip(self._parts, self._rates, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * rate_factor
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of both parts, as tensors and plain values."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore what `state_dict` returned. Errors: ValueError or KeyError if it is of another model."""
        for part, values in zip(self._parts, state, strict=True):
            part.load_state_dict(values)


def _is_layers_matrix(name: str, parameter: Any) -> bool:
    return parameter.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name
