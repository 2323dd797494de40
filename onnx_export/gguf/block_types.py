"""The types in which GGUF stores weights: their number in the file, and the weights and bytes of a block.

``kept`` are the types that a graph can hold unchanged (`onnx_export.gguf.blocks`); ``rounded`` are read as floats and
rounded again; of the others only the name is known, so that an error can name them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Handling = Literal["kept", "rounded", "refused"]


@dataclass(frozen=True, slots=True)
class BlockType:
    """A block of ``weights`` weights takes ``bytes`` bytes."""

    number: int
    name: str
    weights: int
    bytes: int
    handling: Handling


BLOCK_TYPES: Mapping[int, BlockType] = MappingProxyType(
    {
        kind.number: kind
        for kind in (
            BlockType(0, "F32", 1, 4, "kept"),
            BlockType(1, "F16", 1, 2, "kept"),
            BlockType(2, "Q4_0", 32, 18, "kept"),
            BlockType(3, "Q4_1", 32, 20, "kept"),
            BlockType(6, "Q5_0", 32, 22, "kept"),
            BlockType(7, "Q5_1", 32, 24, "kept"),
            BlockType(8, "Q8_0", 32, 34, "kept"),
            BlockType(9, "Q8_1", 32, 36, "refused"),
            BlockType(10, "Q2_K", 256, 84, "rounded"),
            BlockType(11, "Q3_K", 256, 110, "rounded"),
            BlockType(12, "Q4_K", 256, 144, "kept"),
            BlockType(13, "Q5_K", 256, 176, "kept"),
            BlockType(14, "Q6_K", 256, 210, "kept"),
            BlockType(15, "Q8_K", 256, 292, "refused"),
            BlockType(16, "IQ2_XXS", 256, 66, "refused"),
            BlockType(17, "IQ2_XS", 256, 74, "refused"),
            BlockType(18, "IQ3_XXS", 256, 98, "refused"),
            BlockType(19, "IQ1_S", 256, 50, "refused"),
            BlockType(20, "IQ4_NL", 32, 18, "refused"),
            BlockType(21, "IQ3_S", 256, 110, "refused"),
            BlockType(22, "IQ2_S", 256, 82, "refused"),
            BlockType(23, "IQ4_XS", 256, 136, "refused"),
            BlockType(24, "I8", 1, 1, "refused"),
            BlockType(25, "I16", 1, 2, "refused"),
            BlockType(26, "I32", 1, 4, "refused"),
            BlockType(27, "I64", 1, 8, "refused"),
            BlockType(28, "F64", 1, 8, "refused"),
            BlockType(29, "IQ1_M", 256, 56, "refused"),
            BlockType(30, "BF16", 1, 2, "kept"),
            BlockType(34, "TQ1_0", 256, 54, "refused"),
            BlockType(35, "TQ2_0", 256, 66, "refused"),
            BlockType(39, "MXFP4", 32, 17, "refused"),
            BlockType(40, "NVFP4", 64, 36, "refused"),
            BlockType(41, "Q1_0", 128, 18, "refused"),
        )
    }
)
