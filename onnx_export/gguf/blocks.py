"""Blocks of weights as whole numbers and scales, so that nothing is rounded a second time.

Every type is brought into one form, w = (q - zero) * scale + offset, with q of 4 or 8 bits and ``zero`` the middle of
their range. Types that have a minimum (Q4_1, Q5_1, Q4_K, Q5_K) have an offset for every block. With the zero in the
middle the offset is small, and so is the error from rounding the inputs to 8 bits.

| type | bits | block | scale | offset |
|---|---|---|---|---|
| Q4_0 | 4 | 32 | d | - |
| Q4_1 | 4 | 32 | d | m + 8 d |
| Q5_0 | 8 | 32 | d | - |
| Q5_1 | 8 | 32 | d | m + 16 d |
| Q8_0 | 8 | 32 | d | - |
| Q4_K | 4 | 32 | d sc | 8 d sc - dmin m |
| Q5_K | 8 | 32 | d sc | 16 d sc - dmin m |
| Q6_K | 8 | 16 | d sc | - |

The layouts are those of ggml-quants.c; the tests compare each with the `gguf` package.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from onnx_export.graph_writer.weights import Blocks, Bytes, Floats, Form

FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "Q4_0": Form(4, 32, offsets=False),
        "Q4_1": Form(4, 32, offsets=True),
        "Q5_0": Form(8, 32, offsets=False),
        "Q5_1": Form(8, 32, offsets=True),
        "Q8_0": Form(8, 32, offsets=False),
        "Q4_K": Form(4, 32, offsets=True),
        "Q5_K": Form(8, 32, offsets=True),
        "Q6_K": Form(8, 16, offsets=False),
    }
)


def unpack(kind: str, data: Bytes) -> Blocks:
    """Blocks of a type of `FORMS`, ``[N, bytes a row]``, in its form."""
    return _UNPACK[kind](data)


def floats(kind: str, data: Bytes) -> Floats:
    """Blocks of any type that can be read, ``[N, bytes a row]``, as floats ``[N, K]``."""
    if kind in FORMS:
        return unpack(kind, data).floats(FORMS[kind])
    return _FLOATS[kind](data)


def _split(data: Bytes, size: int) -> Bytes:
    """``[N, blocks, size]``."""
    return data.reshape(len(data), -1, size)


def _half(data: Bytes) -> Floats:
    """Two bytes at the end of the axes as float16: ``[..., 2]`` becomes ``[...]``."""
    return np.ascontiguousarray(data).view("<f2")[..., 0].astype(np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """``[..., n]`` bytes to ``[..., 2 n]``: first all low halves, then all high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _fifth_bits(packed: Bytes) -> Bytes:
    """``[..., 4]`` bytes to the 32 bits in them, each 0 or 16."""
    return np.unpackbits(packed, axis=-1, bitorder="little") << np.uint8(4)


def _rows(values: Bytes, rows: int) -> Bytes:
    return values.reshape(rows, -1)


def _q4_0(data: Bytes) -> Blocks:
    blocks = _split(data, 18)
    return Blocks(_rows(_nibbles(blocks[..., 2:]), len(data)), _half(blocks[..., :2]))


def _q4_1(data: Bytes) -> Blocks:
    blocks = _split(data, 20)
    scales = _half(blocks[..., :2])
    return Blocks(_rows(_nibbles(blocks[..., 4:]), len(data)), scales, _half(blocks[..., 2:4]) + 8 * scales)


def _q5_0(data: Bytes) -> Blocks:
    blocks = _split(data, 22)
    values = _nibbles(blocks[..., 6:]) + _fifth_bits(blocks[..., 2:6]) + np.uint8(112)
    return Blocks(_rows(values, len(data)), _half(blocks[..., :2]))


def _q5_1(data: Bytes) -> Blocks:
    blocks = _split(data, 24)
    values = _nibbles(blocks[..., 8:]) + _fifth_bits(blocks[..., 4:8]) + np.uint8(112)
    scales = _half(blocks[..., :2])
    return Blocks(_rows(values, len(data)), scales, _half(blocks[..., 2:4]) + 16 * scales)


def _q8_0(data: Bytes) -> Blocks:
    blocks = _split(data, 34)
    return Blocks(_rows(blocks[..., 2:] ^ np.uint8(128), len(data)), _half(blocks[..., :2]))


def _k_scales(packed: Bytes) -> tuple[Floats, Floats]:
    """The 12 bytes of Q4_K and Q5_K ``[..., 12]`` as eight scales and eight minima of 6 bits, ``[..., 8]`` each."""
    low, middle, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    scales = np.concatenate([low & 63, (high & 15) | ((low >> 6) << 4)], axis=-1)
    minima = np.concatenate([middle & 63, (high >> 4) | ((middle >> 6) << 4)], axis=-1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _k_form(blocks: Bytes, values: Bytes, middle: int) -> Blocks:
    """Q4_K and Q5_K: d, dmin, twelve bytes of scales, then the values, ``[N, blocks, 8, 32]``."""
    scales, minima = _k_scales(blocks[..., 4:16])
    scales *= _half(blocks[..., :2])[..., None]
    offsets = middle * scales - _half(blocks[..., 2:4])[..., None] * minima
    rows = len(blocks)
    return Blocks(_rows(values, rows), scales.reshape(rows, -1), offsets.reshape(rows, -1))


def _pairs(packed: Bytes) -> Bytes:
    """``[N, blocks, 128]`` bytes to ``[N, blocks, 8, 32]``: 32 low halves, their 32 high ones, and so on."""
    return _nibbles(packed.reshape(*packed.shape[:2], 4, 32)).reshape(*packed.shape[:2], 8, 32)


def _q4_k(data: Bytes) -> Blocks:
    blocks = _split(data, 144)
    return _k_form(blocks, _pairs(blocks[..., 16:]), 8)


def _q5_k(data: Bytes) -> Blocks:
    blocks = _split(data, 176)
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    fifth = ((blocks[..., 16:48][:, :, None, :] >> shifts) & 1) << np.uint8(4)
    return _k_form(blocks, _pairs(blocks[..., 48:]) + fifth + np.uint8(112), 16)


def _q6_k(data: Bytes) -> Blocks:
    blocks = _split(data, 210)
    rows, count = blocks.shape[:2]
    low = blocks[..., :128].reshape(rows, count, 2, 64)
    low = np.stack([low & 15, low >> 4], axis=3).reshape(rows, count, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = (blocks[..., 128:192].reshape(rows, count, 2, 1, 32) >> shifts) & 3
    values = (low | (high << np.uint8(4))) + np.uint8(96)
    scales = np.ascontiguousarray(blocks[..., 192:208]).view(np.int8).astype(np.float32)
    scales *= _half(blocks[..., 208:])[..., None]
    return Blocks(_rows(values.astype(np.uint8), rows), scales.reshape(rows, -1))


def _q2_k(data: Bytes) -> Floats:
    blocks = _split(data, 84)
    rows, count = blocks.shape[:2]
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    values = (blocks[..., 16:80].reshape(rows, count, 2, 1, 32) >> shifts) & 3
    split = values.reshape(rows, count, 16, 16).astype(np.float32)
    scales, minima = (part.astype(np.float32) for part in (blocks[..., :16] & 15, blocks[..., :16] >> 4))
    split *= (_half(blocks[..., 80:82])[..., None] * scales)[..., None]
    split -= (_half(blocks[..., 82:84])[..., None] * minima)[..., None]
    return split.reshape(rows, -1)


def _q3_k(data: Bytes) -> Floats:
    blocks = _split(data, 110)
    rows, count = blocks.shape[:2]
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    low = (blocks[..., 32:96].reshape(rows, count, 2, 1, 32) >> shifts) & 3
    high = (blocks[..., :32].reshape(rows, count, 1, 1, 32) >> np.arange(8, dtype=np.uint8).reshape(2, 4, 1)) & 1
    split = (low | (high << 2)).reshape(rows, count, 16, 16).astype(np.float32) - 4
    packed = blocks[..., 96:108]
    nibbles = _nibbles(packed[..., :8])
    top = (packed[..., None, 8:12] >> shifts) & 3
    scales = (nibbles | (top.reshape(rows, count, 16) << 4)).astype(np.float32) - 32
    split *= (scales * _half(blocks[..., 108:110])[..., None])[..., None]
    return split.reshape(rows, -1)


def _f32(data: Bytes) -> Floats:
    return data.view("<f4")


def _f16(data: Bytes) -> Floats:
    return data.view("<f2").astype(np.float32)


def _bf16(data: Bytes) -> Floats:
    return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)


_UNPACK: Mapping[str, Callable[[Bytes], Blocks]] = MappingProxyType(
    {
        "Q4_0": _q4_0,
        "Q4_1": _q4_1,
        "Q5_0": _q5_0,
        "Q5_1": _q5_1,
        "Q8_0": _q8_0,
        "Q4_K": _q4_k,
        "Q5_K": _q5_k,
        "Q6_K": _q6_k,
    }
)
_FLOATS: Mapping[str, Callable[[Bytes], Floats]] = MappingProxyType(
    {"F32": _f32, "F16": _f16, "BF16": _bf16, "Q2_K": _q2_k, "Q3_K": _q3_k}
)
