"""Every type of blocks against the `gguf` package, on random blocks."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from hypothesis import given
from hypothesis import strategies as st

from onnx_export.gguf.block_types import BLOCK_TYPES
from onnx_export.gguf.blocks import FORMS, floats, unpack

READ = [kind for kind in BLOCK_TYPES.values() if kind.handling != "refused"]
# The upper bytes of scales; random bits there could give infinity.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108]}  # fmt: skip


def random_blocks(name: str, rows: int, blocks: int, seed: int) -> np.ndarray:
    kind = next(kind for kind in READ if kind.name == name)
    rng = np.random.default_rng(seed)
    if name in ("F32", "F16", "BF16"):
        values = rng.normal(size=(rows, blocks * 32)).astype(np.float32)
        if name == "BF16":
            return np.ascontiguousarray(values.view(np.uint16)[:, 1::2]).view(np.uint8)
        return np.ascontiguousarray(values.astype("<f2") if name == "F16" else values).view(np.uint8)
    data = rng.integers(0, 256, (rows, blocks, kind.bytes), dtype=np.uint8)
    for at in HALVES[name]:
        halves = rng.normal(0, 0.1, (rows, blocks, 1)).astype("<f2")
        data[..., at : at + 2] = halves.view(np.uint8)
    return data.reshape(rows, -1)


@pytest.mark.parametrize("name", [kind.name for kind in READ])
@given(rows=st.integers(1, 4), blocks=st.integers(1, 3), seed=st.integers(0, 1 << 30))
def test_blocks_are_what_the_package_reads(name: str, rows: int, blocks: int, seed: int) -> None:
    data = random_blocks(name, rows, blocks, seed)
    expected = dequantize(data, GGMLQuantizationType[name])
    # Offsets are added in another order: the difference is some last bits of a float32 of the largest terms.
    largest = float(np.abs(expected).max())
    np.testing.assert_allclose(floats(name, data), expected, rtol=1e-6, atol=1e-5 + 1e-6 * largest)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_values_stay_within_their_bits(name: str) -> None:
    form = FORMS[name]
    found = unpack(name, random_blocks(name, 3, 2, 1))
    columns = found.values.shape[1]
    assert found.values.max() < 1 << form.bits
    assert found.scales.shape == (3, columns // form.block)
    assert (found.offsets is not None) == form.offsets
    assert found.offsets is None or found.offsets.shape == found.scales.shape


def test_every_type_that_is_kept_or_rounded_can_be_read() -> None:
    for kind in READ:
        assert floats(kind.name, np.zeros((1, kind.bytes), np.uint8)).shape == (1, kind.weights)
