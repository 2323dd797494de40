"""Cross-entropy over a large vocabulary in chunks: the [tokens, vocabulary] logits never exist as a whole.

Gradients are formed in the forward pass, chunk by chunk, while the logits are still in the processor's cache; a
checkpointed version would have to multiply by the vocabulary a second time.
"""

from typing import Any

import torch
from torch import Tensor

CHUNK_TOKENS = 256  # their logits fit the processor's cache
CHUNK_TOKENS_CUDA = 8_192  # enough rows for a GPU


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        # hidden [T, D], weight [V, D], targets [T] int64
        low_hidden, low_weight = hidden.detach().to(dtype), weight.detach().to(dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_grad = torch.empty_like(low_hidden)
        weight_grad = torch.zeros_like(weight, dtype=torch.float32)
        chunk = CHUNK_TOKENS_CUDA if hidden.is_cuda else CHUNK_TOKENS
        for start in range(0, len(targets), chunk):
            rows = slice(start, start + chunk)
            logits = (low_hidden[rows] @ low_weight.T).float()
            logits.sub_(logits.amax(dim=-1, keepdim=True))
            chosen = logits.gather(1, targets[rows, None])
            z = logits.exp_().sum(dim=-1, keepdim=True)
            total += (z.log() - chosen).sum()
            logits.div_(z)  # now probabilities: the gradient is probability - one-hot
            logits.scatter_add_(1, targets[rows, None], torch.full_like(chosen, -1.0))
            gradient = logits.to(dtype)
            hidden_grad[rows] = gradient @ low_weight
            weight_grad += (gradient.T @ low_hidden[rows]).float()
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.input_dtypes = (hidden.dtype, weight.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        scale = grads[0]
        return (hidden_grad * scale).to(ctx.input_dtypes[0]), (weight_grad * scale).to(ctx.input_dtypes[1]), None, None


def chunked_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Sum over tokens of -ln p(target), float32 scalar.

    hidden [T, D] float, weight [V, D] float, targets [T] int64; `dtype` is what the matrix products are computed in.
    """
    result: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, targets, dtype)
    return result
