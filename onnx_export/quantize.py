"""Precisions: what the model builder is asked for, and where each can run.

| precision | weights of the layers       | embedding and head, stored once | works on  |
|-----------|-----------------------------|---------------------------------|-----------|
| fp32      | float32                     | float32                         | cpu       |
| fp16      | float16                     | float16                         | cuda      |
| int8      | 8 bits, blocks of 32        | 8 bits                          | cpu, cuda |
| int4      | 4 bits, blocks of 32        | 8 bits                          | cpu, cuda |

Quantisation is of weights only, so it needs no calibration text. The head stays at 8 bits in int4: it is the output,
and in a small model with a large vocabulary most of the harm of 4 bits is done there.
"""

from dataclasses import dataclass
from typing import Literal

from engine.errors import ExportError
from engine.manifest import Precision

Device = Literal["cpu", "cuda"]

BLOCK_SIZE = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """Arguments for the model builder, and the bounds of the checks, as relative errors of logits (see validate.py).

    `relative_error` bounds the mean over positions against the checkpoint, `cache_error` the largest one between two
    ways of feeding the same tokens to the graph. The bounds of the quantised models leave room for random weights,
    where nothing cancels; what quantisation costs a trained model is said by bits per byte (measure.py). Quantised
    products round their activations to 8 bits, with other kernels for one token than for several, so logits differ by
    some per cent between the two, without being better or worse in either (docs/models.md).
    """

    precision: Precision
    device: Device
    builder_precision: str
    builder_options: tuple[str, ...]
    key_value_dtype: Literal["float32", "float16"]
    relative_error: float
    cache_error: float


def plan(precision: Precision, device: Device) -> Plan:
    """How to build `precision` for `device`. Errors: ExportError where the combination has no kernels."""
    quantised = (f"block_size={BLOCK_SIZE}",)
    half = device == "cuda"
    match precision:
        case "fp32" if not half:
            return Plan(precision, device, "fp32", (), "float32", 1e-4, 1e-4)
        case "fp16" if half:
            return Plan(precision, device, "fp16", (), "float16", 2e-2, 2e-2)
        case "int8":
            return Plan(precision, device, "int8", quantised, "float16" if half else "float32", 0.08, 0.10)
        case "int4":
            options = (*quantised, "algo_config=rtn", "matmul_mixed_precision=last_matmul:int8")
            return Plan(precision, device, "int4", options, "float16" if half else "float32", 0.50, 0.10)
    raise ExportError(
        f"fused attention has no {precision} kernel on {device}; cpu takes fp32, int8 or int4, cuda fp16, int8 or int4"
    )
