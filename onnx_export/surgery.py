"""Changes to the builder's graph: logits only where they are wanted, the tied embedding stored once, float32 logits.

Every function changes the `onnx.ModelProto` that it is given and asserts the shape of the graph that it expects, so
that a new version of the builder fails here and not in an editor.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ExportError
from onnx_export.architectures import Family

POSITIONS = "logits_positions"


def gather_logits(model: Any, family: Family) -> None:
    """Add the input `logits_positions` [K] int64: `logits` becomes [B, K, V], the head works on K rows only."""
    head = _producer(model, family.names.logits)
    hidden, wanted = head.input[0], f"{head.input[0]}/wanted"
    gather = helper.make_node("Gather", [hidden, POSITIONS], [wanted], name=f"{family.head}/Positions", axis=1)
    head.input[0] = wanted
    model.graph.node.insert(list(model.graph.node).index(head), gather)
    model.graph.input.append(helper.make_tensor_value_info(POSITIONS, TensorProto.INT64, ["num_positions"]))
    output = _output(model, family.names.logits)
    output.type.tensor_type.shape.dim[1].dim_param = "num_positions"


def float_logits(model: Any, family: Family) -> None:
    """Make the output `logits` float32 where the graph computes in another type."""
    name = family.names.logits
    output = _output(model, name)
    if output.type.tensor_type.elem_type == TensorProto.FLOAT:
        return
    producer = _producer(model, name)
    producer.output[0] = f"{name}/narrow"
    model.graph.node.append(
        helper.make_node("Cast", [f"{name}/narrow"], [name], name=f"{family.head}/Float32", to=TensorProto.FLOAT)
    )
    output.type.tensor_type.elem_type = TensorProto.FLOAT


def share_quantised_embedding(model: Any, family: Family) -> bool:
    """Look embeddings up in the quantised head, and drop the float table; True where the graph was changed.

    The head's weights are [V, blocks, bytes] with scales [V, blocks] (or flat), and GatherBlockQuantized reads them as
    [V, blocks * bytes]. Only valid where the checkpoint ties the two.
    """
    head = _producer(model, family.names.logits)
    gathers = [
        node for node in model.graph.node if node.op_type == "Gather" and node.name == f"{family.embedding}/Gather"
    ]
    if head.op_type != "MatMulNBits" or not gathers:
        return False
    (gather,) = gathers
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in head.attribute}
    rows, bits, block = attributes["N"], attributes["bits"], attributes["block_size"]
    weight, scales = head.input[1], head.input[2]
    zero_points = head.input[3] if len(head.input) > 3 else ""
    _reshape_initializer(model, scales, [rows, -1])
    flat, shape = f"{family.embedding}/flat", f"{family.embedding}/shape"
    inputs = [flat, gather.input[1], scales]
    nodes = [helper.make_node("Reshape", [weight, shape], [flat], name=f"{family.embedding}/Reshape")]
    if zero_points:
        flat_zero = f"{family.embedding}/flat_zero_points"
        nodes.append(
            helper.make_node("Reshape", [zero_points, shape], [flat_zero], name=f"{family.embedding}/ReshapeZero")
        )
        inputs.append(flat_zero)
    nodes.append(
        helper.make_node(
            "GatherBlockQuantized",
            inputs,
            list(gather.output),
            name=f"{family.embedding}/GatherBlockQuantized",
            domain="com.microsoft",
            bits=bits,
            block_size=block,
            gather_axis=0,
            quantize_axis=1,
        )
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([rows, -1], np.int64), shape))
    _replace(model, gather, nodes)
    _drop_initializer(model, gather.input[0])
    return True


def parameter_bytes(model: Any) -> int:
    """Bytes of all stored tensors."""
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


def _producer(model: Any, value: str) -> Any:
    producers = [node for node in model.graph.node if value in node.output]
    if len(producers) != 1:
        raise ExportError(
            f"the built graph has no node that makes {value!r}; this version of the builder is not supported"
        )
    return producers[0]


def _output(model: Any, name: str) -> Any:
    return next(value for value in model.graph.output if value.name == name)


def _replace(model: Any, old: Any, new: Iterable[Any]) -> None:
    index = list(model.graph.node).index(old)
    model.graph.node.remove(old)
    for offset, node in enumerate(new):
        model.graph.node.insert(index + offset, node)


def _drop_initializer(model: Any, name: str) -> None:
    if any(name in node.input for node in model.graph.node):
        return
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    model.graph.initializer.remove(tensor)


def _reshape_initializer(model: Any, name: str, shape: list[int]) -> None:
    for index, tensor in enumerate(model.graph.initializer):
        if tensor.name == name:
            values = numpy_helper.to_array(tensor).reshape(shape)
            model.graph.initializer[index].CopyFrom(numpy_helper.from_array(values, name))
            return
    raise ExportError(f"the built graph has no tensor {name!r}; this version of the builder is not supported")


def load_graph(path: Any) -> Any:
    """Read a graph with its external data into memory."""
    return onnx.load(str(path), load_external_data=True)


def save_graph(model: Any, path: Any, single_file_bytes: int) -> None:
    """Write one file, or a file with `<name>.data` beside it where the tensors exceed `single_file_bytes`."""
    external = parameter_bytes(model) > single_file_bytes
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )
