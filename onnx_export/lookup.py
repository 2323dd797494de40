"""The node that looks up rows in a quantised table. Two ways of quantising an embedding use it."""

from collections.abc import Sequence
from typing import Any


def quantised_lookup(inputs: Sequence[str], outputs: Sequence[str], bits: int, block_size: int) -> Any:
    """``GatherBlockQuantized`` over a table with a scale for each block of a row.

    ``inputs`` are the names of the values, the row numbers and the scales.
    """
    from onnx import helper

    return helper.make_node(
        "GatherBlockQuantized",
        list(inputs),
        list(outputs),
        name="/embedding/GatherBlockQuantized",
        domain="com.microsoft",
        bits=bits,
        block_size=block_size,
        gather_axis=0,
        quantize_axis=1,
    )
