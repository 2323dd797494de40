"""Held-out bits per byte: comparable between tokenizers, which a loss per token is not."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from onnx_export.train.corpus import Document
from onnx_export.train.tokenizer import control_ids

HELD_OUT_WINDOWS = 400
"""Number of windows in a full measurement."""

Window = tuple[list[int], int]  # token ids after the leading end-of-text, bytes of their text
Scorer = Callable[[Sequence[int]], NDArray[np.float32]]  # ids [S] to logits [S, V] after each of them


def bits_per_byte(
    score: Scorer, tokenizer: Tokenizer, documents: Sequence[Document], window: int, max_windows: int | None = None
) -> float:
    """Bits per UTF-8 byte of `documents`; each window of `window` tokens is predicted from its own start.

    `max_windows` limits the number of windows, which are then evenly spaced.
    """
    windows = held_out_windows(tokenizer, documents, window)
    if max_windows is not None and len(windows) > max_windows:
        windows = windows[:: math.ceil(len(windows) / max_windows)]
    start = control_ids(tokenizer).end_of_text
    nats = sum(nats_of(score([start, *ids[:-1]]), ids) for ids, _ in windows)
    return nats / math.log(2.0) / sum(size for _, size in windows)


def nats_of(logits: NDArray[np.float32], targets: Sequence[int]) -> float:
    """Sum of -ln p(target) over positions; logits [S, V] float32, S targets."""
    top = logits.max(axis=1, keepdims=True)
    log_z = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float((log_z - logits[np.arange(len(targets)), list(targets)]).sum(dtype=np.float64))


def torch_scorer(model: Any) -> Scorer:
    """Score with a torch model, with the matrix products of training (`onnx_export.train.precision`)."""
    import torch

    from onnx_export.train.precision import bfloat16_pays

    device = next(model.parameters()).device
    low = bfloat16_pays(device.type)

    def score(ids: Sequence[int]) -> NDArray[np.float32]:
        model.eval()
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            logits: NDArray[np.float32] = (
                model(input_ids=torch.tensor([list(ids)], device=device)).logits[0].float().cpu().numpy()
            )
        return logits

    return score


def held_out_windows(tokenizer: Tokenizer, documents: Sequence[Document], window: int) -> list[Window]:
    """Documents cut into windows of at most `window` tokens, with the number of bytes that each stands for."""
    result: list[Window] = []
    for document in documents:
        ids = tokenizer.encode(document.text, add_special_tokens=False).ids
        for start in range(0, len(ids), window):
            piece = ids[start : start + window]
            result.append((piece, token_bytes(tokenizer, piece)))
    return result


def token_bytes(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """Bytes that byte-level tokens stand for: one character of the stored spelling is one byte."""
    return sum(len(tokenizer.id_to_token(number) or "") for number in ids)
