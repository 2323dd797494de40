from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.errors import ExportError
from onnx_export.quantize import quantise_rows
from onnx_export.weights import EMBEDDINGS, HEADS, find, read_rows, tensor_places, untrained_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_read_as_they_were_written(tmp_path: Path, dtype: torch.dtype):
    table = torch.randn(5, 4).to(dtype)
    save_file({"model.embed_tokens.weight": table, "bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    place = find(tensor_places(tmp_path), EMBEDDINGS)
    assert place is not None
    assert place.shape == (5, 4)
    np.testing.assert_array_equal(read_rows(place), table.float().numpy())
    assert find(tensor_places(tmp_path), HEADS) is None


def test_rows_of_whole_numbers_are_refused(tmp_path: Path):
    save_file({"wte.weight": torch.zeros(2, 2, dtype=torch.int64)}, tmp_path / "model.safetensors")
    place = find(tensor_places(tmp_path), EMBEDDINGS)
    assert place is not None
    with pytest.raises(ExportError, match="has the type I64"):
        read_rows(place)


def test_untrained_rows():
    rows = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    rows[2] = 0.0
    rows[4] = rows[5]
    rows[7] *= 0.01
    rows[9] = rows[1]  # a padding row after the entries that repeats one
    assert untrained_rows(rows, 9) == (1, 2, 4, 5, 7)


def test_eight_bits_a_value_and_a_scale_a_block():
    table = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    table[1, :32] = 0.0
    values, scales = quantise_rows(table)
    again = (values.astype(np.float32) - 128.0).reshape(3, 2, 32) * scales[:, :, None]
    assert values.dtype == np.uint8
    assert np.abs(again.reshape(3, 64) - table).max() <= np.abs(table).max() / 127.0 / 2.0 + 1e-6
