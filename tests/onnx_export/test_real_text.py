"""What rounding costs on real text."""

import numpy as np
import pytest

from engine.text.tokenizer import Tokenizer
from onnx_export.real_text import FILES, compare, text_ids
from tests.toy import byte_level

TOKENIZER = Tokenizer(byte_level())
SIZE = 320


def model(noise: float):
    """The same logits for an id every time, except for the noise."""
    table = np.random.default_rng(0).normal(size=(SIZE, SIZE)) + noise * np.random.default_rng(1).normal(
        size=(SIZE, SIZE)
    )
    return lambda ids: table[ids].astype(np.float32)


def test_a_model_loses_nothing_against_itself():
    found = compare(model(0.0), model(0.0), TOKENIZER, 0, 192)
    assert (found.loss, found.same_best) == (0.0, 1.0)


def test_what_a_model_loses_grows_with_the_rounding():
    little, much = (compare(model(0.0), model(noise), TOKENIZER, 0, 192) for noise in (0.05, 3.0))
    assert little.same_best > 0.7 > 0.2 > much.same_best
    assert abs(little.loss) < 0.02 < 0.1 < much.loss


def test_bits_are_those_of_the_bytes():
    """If nothing is known, each token costs the logarithm of their number."""
    found = compare(lambda ids: np.zeros((len(ids), SIZE), np.float32), model(0.0), TOKENIZER, 0, 50)
    tokens = text_ids(TOKENIZER, 49)
    assert [len(ids) for ids in tokens] == [49] * len(FILES)
    size = sum(len(TOKENIZER.decode_bytes(ids)) for ids in tokens)
    assert found.before == pytest.approx(49 * len(FILES) * np.log2(SIZE) / size, rel=1e-5)
