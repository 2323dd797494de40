"""Changes to built graphs: logits only at the wanted positions, the tied embedding stored once, float32 logits.

Every function changes the given `onnx.ModelProto`. It finds its place by what the graph does, not by names: the head is
the last product before the logits, and the embedding is the lookup of the input ids. A graph of another form raises
ExportError, so that a new version of a builder fails here and not in an editor.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ExportError
from engine.model_folder.manifest import GraphNames
from onnx_export.lookup import quantised_lookup

POSITIONS = "logits_positions"
_AFTER_HEAD = ("Add", "Cast", "Div", "Mul", "Reshape")
_BEFORE_LOOKUP = ("Cast", "Identity", "Reshape")
_PRODUCTS = ("Gemm", "MatMul", "MatMulNBits")


def head_of(model: Any) -> Any:
    """The node that computes logits from hidden states. A scale, a bias or a cast may follow it."""
    node = _producer(model, GraphNames().logits)
    while node.op_type in _AFTER_HEAD:
        node = _producer(model, node.input[0])
    if node.op_type not in _PRODUCTS:
        raise _unexpected(f"a head ({node.op_type} makes the logits)")
    return node


def embedding_of(model: Any) -> Any:
    """The node that looks up the embeddings of the input ids."""
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type not in ("Gather", "GatherBlockQuantized"):
            continue
        indices = node.input[1]
        while indices in makers and makers[indices].op_type in _BEFORE_LOOKUP:
            indices = makers[indices].input[0]
        if indices == GraphNames().input_ids:
            return node
    raise _unexpected("a lookup of the input ids")


def gather_logits(model: Any) -> None:
    """Add the input `logits_positions` [K] int64: `logits` becomes [B, K, V], the head works on K rows only."""
    if any(value.name == POSITIONS for value in model.graph.input):
        return
    head = head_of(model)
    hidden, wanted = head.input[0], f"{head.input[0]}/wanted"
    gather = helper.make_node("Gather", [hidden, POSITIONS], [wanted], name="/logits_positions", axis=1)
    head.input[0] = wanted
    model.graph.node.insert(list(model.graph.node).index(head), gather)
    model.graph.input.append(helper.make_tensor_value_info(POSITIONS, TensorProto.INT64, ["num_positions"]))
    output = _output(model, GraphNames().logits)
    output.type.tensor_type.shape.dim[1].dim_param = "num_positions"


def float_logits(model: Any) -> None:
    """Make the output `logits` float32 where the graph computes in another type."""
    name = GraphNames().logits
    output = _output(model, name)
    if output.type.tensor_type.elem_type == TensorProto.FLOAT:
        return
    producer = _producer(model, name)
    producer.output[0] = f"{name}/narrow"
    model.graph.node.append(
        helper.make_node("Cast", [f"{name}/narrow"], [name], name="/logits/Float32", to=TensorProto.FLOAT)
    )
    output.type.tensor_type.elem_type = TensorProto.FLOAT


def share_transposed_embedding(model: Any) -> None:
    """Look up embeddings in the columns of the head. Otherwise the graph would transpose the whole table at load."""
    gather = embedding_of(model)
    transposes = [node for node in model.graph.node if gather.input[0] in node.output and node.op_type == "Transpose"]
    if not transposes:
        return
    (transpose,) = transposes
    columns = f"{gather.output[0]}/columns"
    nodes = [
        helper.make_node("Gather", [transpose.input[0], gather.input[1]], [columns], name="/embedding/Columns", axis=1),
        helper.make_node("Transpose", [columns], list(gather.output), name="/embedding/Rows", perm=[1, 2, 0]),
    ]
    _replace(model, gather, nodes)
    model.graph.node.remove(transpose)


def share_quantised_embedding(model: Any) -> None:
    """Look embeddings up in the quantised head, and drop the float table.

    The head's weights are [V, blocks, bytes] with scales [V, blocks] (or flat), and GatherBlockQuantized reads them as
    [V, blocks * bytes]. Only valid if the checkpoint ties the two.
    """
    head, gather = head_of(model), embedding_of(model)
    if head.op_type != "MatMulNBits":
        raise _unexpected("a quantised head")
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in head.attribute}
    rows, bits, block = attributes["N"], attributes["bits"], attributes["block_size"]
    weight, scales = head.input[1], head.input[2]
    zero_points = head.input[3] if len(head.input) > 3 else ""
    _reshape_initializer(model, scales, [rows, -1])
    flat, shape = "/embedding/flat", "/embedding/shape"
    inputs = [flat, gather.input[1], scales]
    nodes = [helper.make_node("Reshape", [weight, shape], [flat], name="/embedding/Reshape")]
    if zero_points:
        flat_zero = "/embedding/flat_zero_points"
        nodes.append(helper.make_node("Reshape", [zero_points, shape], [flat_zero], name="/embedding/ReshapeZero"))
        inputs.append(flat_zero)
    nodes.append(quantised_lookup(inputs, list(gather.output), bits, block))
    model.graph.initializer.append(numpy_helper.from_array(np.array([rows, -1], np.int64), shape))
    _replace(model, gather, nodes)
    _drop_initializer(model, gather.input[0])


def parameter_bytes(model: Any) -> int:
    """Bytes of all stored tensors."""
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


def load_graph(path: Any) -> Any:
    """Read a graph with its external data into memory."""
    return onnx.load(str(path), load_external_data=True)


def save_graph(model: Any, path: Any, single_file_bytes: int) -> None:
    """Write one file, or a file with `<name>.data` beside it if the tensors exceed `single_file_bytes`."""
    external = parameter_bytes(model) > single_file_bytes
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )


def _unexpected(what: str) -> ExportError:
    return ExportError(f"the built graph has not {what} where it is expected; this builder's version is not supported")


def _producer(model: Any, value: str) -> Any:
    producers = [node for node in model.graph.node if value in node.output]
    if len(producers) != 1:
        raise _unexpected(f"a node that makes {value!r}")
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
    raise _unexpected(f"a tensor {name!r}")
