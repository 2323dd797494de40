"""Precisions: what each stores, where each can run, and the quantisation of graphs that torch has exported.

| precision | weights of the layers       | embedding and head, stored once | works on  |
|-----------|-----------------------------|---------------------------------|-----------|
| fp32      | float32                     | float32                         | cpu       |
| fp16      | float16                     | float16                         | cuda      |
| int8      | 8 bits, blocks of 32        | 8 bits                          | cpu, cuda |
| int4      | 4 bits, blocks of 32        | 8 bits                          | cpu, cuda |

Only weights are quantised, so no calibration text is needed. The head stays at 8 bits in int4, because 4 bits do most
of their harm there in a small model with a large vocabulary.
"""

import logging
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from engine.model_folder.manifest import Precision
from onnx_export.lookup import quantised_lookup

Device = Literal["cpu", "cuda"]

BLOCK_SIZE = 32
HEAD_BITS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How to build a precision, and the bounds of the checks, as relative errors of logits (see validate.py).

    ``layer_bits`` is None if nothing is quantised. ``mean_error`` and ``worst_error`` bound the mean and the largest
    over positions against the checkpoint, ``cache_error`` the largest one between two ways of feeding the same tokens
    to the graph; where something is quantised one position in ten may exceed the last two. The bounds of the quantised
    models leave room for random weights, where nothing cancels; what quantisation costs a trained model is said by bits
    per byte (measure.py). Quantised products round their activations to 8 bits, with other kernels for one token than
    for several, so logits differ by some per cent between the two, without being better or worse in either
    (docs/models.md). A model that exceeds them must lose no more on real text than ``text_loss``, the share by which
    the bits a byte may grow, and have another best token at no more than ``text_changed`` of the positions.
    """

    precision: Precision
    device: Device
    layer_bits: Literal[4, 8] | None
    key_value_dtype: Literal["float32", "float16"]
    mean_error: float
    worst_error: float
    cache_error: float
    text_loss: float = 0.0
    text_changed: float = 0.0

    @property
    def accuracy_level(self) -> int:
        """`accuracy_level` of MatMulNBits: 4 rounds activations to 8 bits, as the fast kernels of the CPU do."""
        return 4 if self.device == "cpu" else 0


def plan(precision: Precision, device: Device) -> Plan:
    """How to build `precision` for `device`. Errors: ExportError if the combination has no kernels."""
    half = device == "cuda"
    key_value: Literal["float32", "float16"] = "float16" if half else "float32"
    match precision:
        case "fp32" if not half:
            return Plan(precision, device, None, key_value, 1e-4, 1e-4, 1e-4)
        case "fp16" if half:
            return Plan(precision, device, None, key_value, 2e-2, 5e-2, 2e-2)
        case "int8":
            return Plan(precision, device, 8, key_value, 0.08, 0.25, 0.10, 0.01, 0.08)
        case "int4":
            return Plan(precision, device, 4, key_value, 0.50, 0.90, 0.10, 0.12, 0.35)
    if precision == "w8a8":
        raise ExportError("w8a8 is for GGUF files; a checkpoint becomes fp32, fp16, int8 or int4")
    raise ExportError(
        f"fused attention has no {precision} kernel on {device}; cpu takes fp32, int8 or int4, cuda fp16, int8 or int4"
    )


def quantise_products(model: Any, chosen: Plan, head: str) -> Any:
    """Quantise the products of an `onnx.ModelProto` with weights, the node ``head`` at `HEAD_BITS`. Changes the model
    and returns it.
    """
    model = _run(model, chosen, chosen.layer_bits, "MatMul", nodes_to_exclude=[head])
    return _run(model, chosen, HEAD_BITS, "MatMul", nodes_to_include=[head])


def quantise_embedding(model: Any, gather: Any) -> None:
    """Store the table that the node ``gather`` looks up at `HEAD_BITS`: one scale for each block, values around 128.

    ORT's quantiser supports only 4 bits here, and the builders leave the table unchanged. So does this function if the
    width is not a multiple of the block.
    """
    from onnx import numpy_helper

    (place,) = [index for index, tensor in enumerate(model.graph.initializer) if tensor.name == gather.input[0]]
    table = numpy_helper.to_array(model.graph.initializer[place])
    width = table.shape[1]
    if width % BLOCK_SIZE:
        return
    values, scales = quantise_rows(table)
    del model.graph.initializer[place]
    names = [f"{gather.input[0]}/{part}" for part in ("values", "scales")]
    model.graph.initializer.extend(map(numpy_helper.from_array, (values, scales), names))
    node = quantised_lookup([names[0], gather.input[1], names[1]], gather.output, HEAD_BITS, BLOCK_SIZE)
    index = list(model.graph.node).index(gather)
    model.graph.node.remove(gather)
    model.graph.node.insert(index, node)


def quantise_rows(table: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """8-bit values ``[V, W] uint8`` around 128 and scales ``[V, W / BLOCK_SIZE]`` of a table ``[V, W]``."""
    rows, width = table.shape
    blocks = table.astype(np.float32).reshape(rows, width // BLOCK_SIZE, BLOCK_SIZE)
    scales = np.abs(blocks).max(axis=2, keepdims=True) / 127.0
    values = np.rint(blocks / np.where(scales == 0.0, 1.0, scales)) + 128.0
    return values.astype(np.uint8).reshape(rows, width), scales[:, :, 0].astype(table.dtype)


def _run(model: Any, chosen: Plan, bits: int | None, operator: str, **nodes: list[str]) -> Any:
    quantiser = _quantiser()(
        model,
        bits=bits,
        block_size=BLOCK_SIZE,
        is_symmetric=True,
        accuracy_level=chosen.accuracy_level,
        op_types_to_quantize=(operator,),
        **nodes,
    )
    quantiser.process()
    return quantiser.model.model


def _quantiser() -> Any:
    """onnxruntime's class. Importing it sets up logging for the whole process, with a line for each node; that is
    undone.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from engine.runtime.ort import TELEMETRY_OFF

    assert os.environ[TELEMETRY_OFF], "the module that sets it comes before the library"
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    root.handlers[:] = handlers
    root.setLevel(level)
    return MatMulNBitsQuantizer
