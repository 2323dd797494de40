import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from onnx_export.train.corpus import Corpus, Document
from onnx_export.train.held_out import bits_per_byte, held_out_windows, nats_of, token_bytes
from onnx_export.train.loss import CHUNK_TOKENS, chunked_cross_entropy


@pytest.mark.parametrize("tokens", [1, CHUNK_TOKENS, CHUNK_TOKENS + 1, 3 * CHUNK_TOKENS - 5])
def test_loss_and_gradients_equal_the_plain_ones(tokens: int):
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, 16, generator=generator, dtype=torch.float64).float().requires_grad_()
    weight = torch.randn(50, 16, generator=generator).requires_grad_()
    targets = torch.randint(0, 50, (tokens,), generator=generator)
    loss = chunked_cross_entropy(hidden, weight, targets, torch.float32) / tokens
    gradients = torch.autograd.grad(loss, (hidden, weight))
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected, (hidden, weight)), strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-6)


def test_large_logits_do_not_overflow():
    hidden = torch.full((2, 4), 100.0, requires_grad=True)
    weight = torch.eye(4).repeat(2, 1) * 50
    loss = chunked_cross_entropy(hidden, weight, torch.tensor([0, 5]), torch.float32)
    assert math.isfinite(float(loss.detach()))


def test_nats_of_a_uniform_model():
    assert nats_of(np.zeros((3, 8), np.float32), [0, 1, 7]) == pytest.approx(3 * math.log(8))


def test_bits_per_byte_of_a_uniform_model(tokenizer: Tokenizer, corpus: Corpus):
    size = tokenizer.get_vocab_size()
    documents = corpus.held_out
    tokens = sum(len(tokenizer.encode(document.text, add_special_tokens=False).ids) for document in documents)
    expected = tokens * math.log2(size) / sum(len(document.text.encode()) for document in documents)
    figure = bits_per_byte(lambda ids: np.zeros((len(ids), size), np.float32), tokenizer, documents, 64)
    assert figure == pytest.approx(expected, rel=1e-5)


def test_windows_count_the_bytes_of_their_text(tokenizer: Tokenizer):
    text = "é = '广州' # 👩‍👩‍👧\n" * 9
    windows = held_out_windows(tokenizer, [Document("a.py", text)], 16)
    assert sum(size for _, size in windows) == len(text.encode())
    assert token_bytes(tokenizer, []) == 0
