"""Whether this processor's product of unsigned with signed bytes is exact."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engine.runtime.ort import ort

_ROWS, _LENGTH = 8, 64
_LARGEST = 255, 127


def sums_overflow() -> bool:
    """Try the product that overflows, if any does.

    Without VNNI, onnxruntime adds two products of an unsigned and a signed byte in 16 bits, and cuts the sum off at
    32,767. Then it is exact for unsigned weights only. With VNNI or AMX it is exact, and much faster for signed ones.
    """
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [_ROWS, _LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [_ROWS, 1])],
        [numpy_helper.from_array(np.full((_LENGTH, 1), _LARGEST[1], np.int8), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {"x": np.full((_ROWS, _LENGTH), _LARGEST[0], np.uint8)})
    return bool((made != _LENGTH * _LARGEST[0] * _LARGEST[1]).any())
