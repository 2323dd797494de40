"""Nodes and tensors of a graph as they are added. `onnx_export.graph_writer.build` builds graphs with it."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnx_export.graph_writer.byte_sums import sums_overflow
from onnx_export.graph_writer.data_file import DataFile, Place
from onnx_export.graph_writer.weights import WHOLE_ROW, Blocks, Floats, Matrix, packed

OPSET, IR_VERSION = 20, 10
MICROSOFT = "com.microsoft"
FAST = 4
"""`accuracy_level` of MatMulNBits that rounds the inputs to 8 bits, block by block: the level with packed kernels."""
Tick = Callable[[int], None]
Columns = Mapping[str, NDArray[np.int64]]
_MIDDLE = 128
_LEAST_STEP = 1e-30


class Graph:
    """A graph that grows; values are named by the node that makes them."""

    def __init__(self, data: DataFile, tick: Tick, apart: Columns | None = None) -> None:
        """``tick`` is called with the number of weights after each chunk that is written; it may raise. ``apart`` are
        the columns of the inputs of products, by name, that products of bytes take as floats.
        """
        self._data, self._tick, self._apart = data, tick, apart or {}
        self.multiplied: dict[str, int] = {}
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._sums: dict[tuple[str, int], str] = {}
        self._bytes: dict[str, tuple[str, str]] = {}
        self._constants: dict[str, str] = {}

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """Add an input of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: Sequence[int | str]) -> None:
        """Add a float32 output; a node must have made a value of this name."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def node(self, kind: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node. Returns its first output."""
        self._nodes.append(
            helper.make_node(kind, list(inputs), list(outputs), name=outputs[0], domain=domain, **attributes)
        )
        return outputs[0]

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Add a small constant, which is stored in the graph once."""
        array = np.array(values, dtype)
        name = f"constant/{array.dtype}/{array.tolist()}"
        if name not in self._constants:
            self._constants[name] = name
            self._tensors.append(numpy_helper.from_array(array, name))
        return name

    def tensor(self, name: str, values: NDArray[Any]) -> str:
        """Write a tensor to the data file."""
        place = self._data.reserve(values.dtype, values.shape)
        self._data.write(place, values)
        self._tensors.append(self._data.tensor(name, place))
        return name

    def stored(self, name: str, matrix: Matrix) -> "Stored":
        """Write a matrix to the data file, chunk by chunk."""
        if matrix.form is None:
            return self._stored_floats(name, matrix)
        form, rows = matrix.form, matrix.rows
        if form.block == WHOLE_ROW:
            return self._stored_bytes(name, matrix)
        width = form.scales(matrix.columns)
        values = self._data.reserve(np.uint8, (rows, matrix.columns * form.bits // 8))
        scales = self._data.reserve(np.float32, (rows, width))
        offsets = np.empty((width, rows), np.float32) if form.offsets else None
        zeros = self._data.reserve(np.uint8, (rows, -(-width * form.bits // 8))) if form.zeros else None
        for start, stop in matrix.chunks():
            part = matrix.read(start, stop)
            assert isinstance(part, Blocks)
            self._data.write(values, packed(part.values, form.bits), start)
            self._data.write(scales, part.scales, start)
            if offsets is not None and part.offsets is not None:
                offsets[:, start:stop] = part.offsets.T
            if zeros is not None and part.zeros is not None:
                self._data.write(zeros, packed(part.zeros, form.bits), start)
            self._tick((stop - start) * matrix.columns)
        if offsets is not None:
            self.tensor(f"{name}/offsets", offsets)
        return Stored(name, matrix, values, scales, zeros)

    def product(self, hidden: str, stored: "Stored", bias: Floats | None = None) -> str:
        """``hidden`` ``[B, S, K]`` times a matrix: ``[B, S, N]``, plus a bias ``[N]``."""
        name, matrix = stored.name, stored.matrix
        self.multiplied[hidden] = matrix.columns
        added = "" if bias is None else self.tensor(f"{name}/bias", bias)
        if matrix.form is None:
            return self._float_product(hidden, stored, added)
        form = matrix.form
        if form.block == WHOLE_ROW:
            return self._byte_product(hidden, stored, added)
        self._name_once(
            f"{name}/values", stored.values, (matrix.rows, matrix.columns // form.block, form.block * form.bits // 8)
        )
        self._name_once(f"{name}/scales", stored.scales, (matrix.rows, matrix.columns // form.block))
        inputs = [hidden, f"{name}/values", f"{name}/scales"]
        if form.zeros:
            self._name_once(f"{name}/zeros", stored.zeros, None)
        zeros = f"{name}/zeros" if form.zeros else ""
        inputs += [zeros, "", added] if added else [zeros] * form.zeros
        attributes = {"K": matrix.columns, "N": matrix.rows, "bits": form.bits, "block_size": form.block}
        made = self.node("MatMulNBits", inputs, f"{name}/product", domain=MICROSOFT, accuracy_level=FAST, **attributes)
        if not form.offsets:
            return made
        correction = self.node("MatMul", [self._block_sums(hidden, matrix), f"{name}/offsets"], f"{name}/correction")
        return self.node("Add", [made, correction], f"{name}/sum")

    def lookup(self, ids: str, stored: "Stored", name: str) -> str:
        """The rows ``ids`` ``[B, S]`` of a matrix, ``[B, S, K]``."""
        matrix = stored.matrix
        if matrix.form is None:
            self._name_once(stored.name, stored.values, None)
            return self.node("Gather", [stored.name, ids], name)
        form = matrix.form
        self._name_once(f"{stored.name}/rows", stored.values, None)
        self._name_once(f"{stored.name}/scales", stored.scales, None)
        inputs = [f"{stored.name}/rows", ids, f"{stored.name}/scales"]
        attributes = {"bits": form.bits, "block_size": form.block, "gather_axis": 0, "quantize_axis": 1}
        made = self.node(
            "GatherBlockQuantized", inputs, f"{name}/blocks" if form.offsets else name, domain=MICROSOFT, **attributes
        )
        if not form.offsets:
            return made
        columns = self.node("Gather", [f"{stored.name}/offsets", ids], f"{name}/columns", axis=1)
        rows = self.node("Transpose", [columns], f"{name}/offsets", perm=[1, 2, 0])
        rows = self.node("Unsqueeze", [rows, self.constant([3])], f"{name}/offsets/wide")
        split = self.node("Reshape", [made, self.constant([0, 0, -1, form.block])], f"{name}/split")
        added = self.node("Add", [split, rows], f"{name}/added")
        return self.node("Reshape", [added, self.constant([0, 0, -1])], name)

    def save(self, path: Path) -> None:
        """Write the graph. Errors: OSError if there is no room."""
        graph = helper.make_graph(self._nodes, "decoder", self._inputs, self._outputs, self._tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="midtoken")
        path.write_bytes(model.SerializeToString())

    def _stored_floats(self, name: str, matrix: Matrix) -> "Stored":
        values = self._data.reserve(np.float32, (matrix.rows, matrix.columns))
        for start, stop in matrix.chunks():
            self._data.write(values, matrix.floats(start, stop), start)
            self._tick((stop - start) * matrix.columns)
        return Stored(name, matrix, values, None)

    def _stored_bytes(self, name: str, matrix: Matrix) -> "Stored":
        # The product wants the weights of an input side by side, so the matrix is turned in memory.
        turned = np.empty((matrix.columns, matrix.rows), np.uint8)
        scales = np.empty(matrix.rows, np.float32)
        for start, stop in matrix.chunks():
            part = matrix.read(start, stop)
            assert isinstance(part, Blocks)
            turned[:, start:stop] = part.values.T
            scales[start:stop] = part.scales[:, 0]
            self._tick((stop - start) * matrix.columns)
        values = turned if self._unsigned else (turned ^ np.uint8(_MIDDLE)).view(np.int8)
        places = [self._data.reserve(array.dtype, array.shape) for array in (values, scales)]
        for place, array in zip(places, (values, scales), strict=True):
            self._data.write(place, array)
        return Stored(name, matrix, *places)

    @cached_property
    def _unsigned(self) -> bool:
        """Whether weights that are bytes are stored without a sign, as this processor needs it."""
        return sums_overflow()

    def _byte_product(self, hidden: str, stored: "Stored", bias: str) -> str:
        name = stored.name
        self._name_once(f"{name}/bytes", stored.values, None)
        self._name_once(f"{name}/columns", stored.scales, None)
        apart = self._apart.get(hidden, ())
        given, step = self._as_bytes(self._rest(hidden, stored.matrix.columns) if len(apart) else hidden)
        middle = self.constant(_MIDDLE, np.uint8)
        inputs = [given, f"{name}/bytes", self.constant(1.0, np.float32), f"{name}/columns", middle]
        inputs += [middle] if stored.values.dtype == np.uint8 else []
        made = self.node("MatMulIntegerToFloat", inputs, f"{name}/by_column", domain=MICROSOFT)
        made = self.node("Mul", [made, step], f"{name}/product")
        if len(apart):
            matrix = stored.matrix  # in parts, for all of it as floats may not fit into memory
            parts = [matrix.floats(start, stop)[:, apart].T for start, stop in matrix.chunks()]
            weights = self.tensor(f"{name}/apart", np.concatenate(parts, axis=1))
            of_floats = self.node("MatMul", [f"{hidden}/apart", weights], f"{name}/of_floats")
            made = self.node("Add", [made, of_floats], f"{name}/both")
        return self.node("Add", [made, bias], f"{name}/sum") if bias else made

    def _rest(self, hidden: str, width: int) -> str:
        """The inputs with zeros for the columns that are apart, which are a value of their own, ``[B, S, apart]``."""
        columns, rest = self._apart[hidden], f"{hidden}/rest"
        if rest not in self._constants:
            self._constants[rest] = rest
            self.node("Gather", [hidden, self.constant(columns)], f"{hidden}/apart", axis=-1)
            kept = np.ones(width, np.float32)
            kept[columns] = 0.0
            self.node("Mul", [hidden, self.tensor(f"{hidden}/kept", kept)], rest)
        return rest

    def _as_bytes(self, hidden: str) -> tuple[str, str]:
        """The inputs ``[B, S, K]`` as bytes around the middle, and their steps ``[B, S, 1]``: one scale for each token.
        Shared by the products that read the same inputs.
        """
        if hidden not in self._bytes:
            sizes = self.node("Abs", [hidden], f"{hidden}/sizes")
            largest = self.node("ReduceMax", [sizes, self.constant([-1])], f"{hidden}/largest", keepdims=1)
            step = self.node("Mul", [largest, self.constant(1 / (_MIDDLE - 1), np.float32)], f"{hidden}/part")
            # Of a token whose inputs are all 0, the step must not be.
            step = self.node("Add", [step, self.constant(_LEAST_STEP, np.float32)], f"{hidden}/step")
            scaled = self.node("Div", [hidden, step], f"{hidden}/scaled")
            inputs = [scaled, self.constant(1.0, np.float32), self.constant(_MIDDLE, np.uint8)]
            self._bytes[hidden] = self.node("QuantizeLinear", inputs, f"{hidden}/bytes"), step
        return self._bytes[hidden]

    def _float_product(self, hidden: str, stored: "Stored", bias: str) -> str:
        # Gemm reads the table as it is stored, so an embedding can be the head too. It needs two axes.
        name, matrix = stored.name, stored.matrix
        self._name_once(name, stored.values, None)
        flat = self.node("Reshape", [hidden, self.constant([-1, matrix.columns])], f"{name}/flat")
        inputs = [flat, name, bias] if bias else [flat, name]
        made = self.node("Gemm", inputs, f"{name}/product", transB=1)
        shape = self.node("Shape", [hidden], f"{name}/shape", end=2)
        shape = self.node("Concat", [shape, self.constant([matrix.rows])], f"{name}/whole", axis=0)
        return self.node("Reshape", [made, shape], f"{name}/sum", allowzero=1)

    def _block_sums(self, hidden: str, matrix: Matrix) -> str:
        """Sums of the inputs by block, ``[B, S, K / block]``; shared by the products that read the same inputs."""
        assert matrix.form is not None
        key = (hidden, matrix.form.block)
        if key not in self._sums:
            split = self.node("Reshape", [hidden, self.constant([0, 0, -1, matrix.form.block])], f"{hidden}/split")
            self._sums[key] = self.node("ReduceSum", [split, self.constant([3])], f"{hidden}/sums", keepdims=0)
        return self._sums[key]

    def _name_once(self, name: str, place: Place | None, shape: Sequence[int] | None) -> None:
        assert place is not None
        if name not in self._constants:
            self._constants[name] = name
            self._tensors.append(self._data.tensor(name, place, shape))


class Stored:
    """A matrix in the data file."""

    def __init__(
        self, name: str, matrix: Matrix, values: Place, scales: Place | None, zeros: Place | None = None
    ) -> None:
        self.name, self.matrix, self.values, self.scales, self.zeros = name, matrix, values, scales, zeros
