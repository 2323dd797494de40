"""`python -m benchmarks.prefill_products`: which product of onnxruntime reads a prompt fastest on this processor?

A prefill is products of some dozen to some hundred rows with the weights. The weights are stored in blocks of 4 or 8
bits (`MatMulNBits`), since a single step is bound by memory. For many rows, a product of bytes with one scale a row and
a column (`MatMulInteger`) may be faster: it has kernels for VNNI and AMX. This measures both on the shapes of a real
model's layer, all kinds in turn, and how far each is from the exact product. It takes about a minute and needs the
environment of `make test-export`. docs/measurements/speed.md tells what it is for.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.tables import Cell, Ratio, Report, Table, as_text, interleave, machine, median
from engine.runtime.ort import ort
from onnx_export.graph_writer.graph import IR_VERSION, MICROSOFT
from onnx_export.graph_writer.rounding import EIGHT_BITS, FOUR_BITS, blocks_of
from onnx_export.graph_writer.weights import Form, packed

OPSET = 21
"""The first in which QuantizeLinear names the type of its result."""
ROWS = (32, 64, 128, 512)
LARGE = 40.0
"""Times that one column of the inputs is larger than the others, where outliers are measured."""
BURST_S, MOST_BURST = 0.05, 20
NOW = "8 bits, level 4"
"""What the export stores, and the peer of all others."""

WIDE_SUMS = "session.x64quantprecision"
"""Option of a session: signed weights become unsigned where the processor's product of mixed bytes overflows."""

Floats = NDArray[np.float32]
Built = tuple[list[Any], dict[str, Any]]
"""Nodes, and arrays or numbers by the names of tensors."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A product ``[rows, inputs] x [inputs, outputs]`` that each layer has ``count`` times."""

    name: str
    inputs: int
    outputs: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of a model's layers: of the stream, inside the feed-forward part, and of all keys."""

    layers: int
    width: int
    inner: int
    keys: int

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The products of a layer."""
        return (
            Shape("query, key, value", self.width, self.width + 2 * self.keys),
            Shape("attention output", self.width, self.width),
            Shape("gate, up", self.width, self.inner, 2),
            Shape("down", self.inner, self.width),
        )


MODELS = {"qwen-0.5b": Sizes(24, 896, 4864, 128), "smollm2-135m": Sizes(30, 576, 1536, 192)}


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to compute a product. ``build`` takes weights ``[inputs, outputs]`` and gives a graph's nodes and tensors,
    from ``x`` to ``y``. ``integers`` takes bytes and gives whole numbers, so it is not a whole product. If not
    ``exact``, sums of two products may overflow in 16 bits on a processor without VNNI.
    """

    build: Callable[[Floats], Built]
    integers: Any = None
    exact: bool = True


def _floats(weights: Floats) -> Built:
    return [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights}


def _blocks(form: Form, level: int) -> Kind:
    def build(weights: Floats) -> Built:
        inputs, outputs = weights.shape
        found = blocks_of(np.ascontiguousarray(weights.T), form)
        attributes = {"K": inputs, "N": outputs, "bits": form.bits, "block_size": form.block, "accuracy_level": level}
        values = packed(found.values, form.bits).reshape(outputs, inputs // form.block, -1)
        zeros = {} if found.zeros is None else {"zeros": packed(found.zeros, form.bits)}
        tensors = {"values": values, "scales": found.scales, **zeros}
        node = helper.make_node("MatMulNBits", ["x", *tensors], ["y"], domain=MICROSOFT, **attributes)
        return [node], tensors

    return Kind(build)


def _columns(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights as signed bytes, one scale for each column."""
    scales = np.abs(weights).max(axis=0) / 127
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _integers(inputs: Any, signed: bool, *, exact: bool = True) -> Kind:
    def build(weights: Floats) -> Built:
        values, _ = _columns(weights)
        stored = values if signed else (values.astype(np.int16) + 128).astype(np.uint8)
        zero = np.array(0 if inputs is np.int8 else 128, inputs)
        tensors = {"w": stored, "zx": zero, "zw": np.array(0 if signed else 128, stored.dtype)}
        return [helper.make_node("MatMulInteger", ["x", "w", "zx", "zw"], ["y"])], tensors

    return Kind(build, inputs, exact)


def _one_scale(weights: Floats) -> Built:
    """The fused operator: one scale for all rows of a pass."""
    values, scales = _columns(weights)
    return [helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], domain=MICROSOFT)], {
        "w": values,
        "s": scales,
    }


def _plain(weights: Floats) -> Built:
    """A scale for each row, in plain operators around the product."""
    values, scales = _columns(weights)
    tensors: dict[str, Any] = {
        "w": values,
        "s": scales,
        "axis": np.array([1]),
        "reach": np.float32(127),
        "middle": np.float32(128),
    }
    nodes = [
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("ReduceMax", ["size", "axis"], ["largest"], keepdims=1),
        helper.make_node("Div", ["largest", "reach"], ["step"]),
        helper.make_node("Div", ["x", "step"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["whole"]),
        helper.make_node("Add", ["whole", "middle"], ["raised"]),
        helper.make_node("Cast", ["raised"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["bytes", "w", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "s"], ["by column"]),
        helper.make_node("Mul", ["by column", "step"], ["y"]),
    ]
    return nodes, {**tensors, "zero": np.array(128, np.uint8)}


def _fused(weights: Floats) -> Built:
    """A scale for each row, in as few passes over the numbers as the operators of onnxruntime allow."""
    values, scales = _columns(weights)
    nodes = [
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("ReduceMax", ["size", "axis"], ["largest"], keepdims=1),
        helper.make_node("Mul", ["largest", "part"], ["step"]),
        helper.make_node("Div", ["x", "step"], ["scaled"]),
        helper.make_node("QuantizeLinear", ["scaled", "one", "middle"], ["bytes"]),
        helper.make_node("MatMulIntegerToFloat", ["bytes", "w", "one", "s", "middle"], ["by column"], domain=MICROSOFT),
        helper.make_node("Mul", ["by column", "step"], ["y"]),
    ]
    tensors: dict[str, Any] = {"w": values, "s": scales, "axis": np.array([1]), "part": np.float32(1 / 127)}
    return nodes, {**tensors, "one": np.float32(1), "middle": np.array(128, np.uint8)}


KINDS: Mapping[str, Kind] = {
    "float32": Kind(_floats),
    "4 bits, level 0": _blocks(FOUR_BITS, 0),
    "4 bits, level 4": _blocks(FOUR_BITS, 4),
    "8 bits, level 0": _blocks(EIGHT_BITS, 0),
    NOW: _blocks(EIGHT_BITS, 4),
    "DynamicQuantizeMatMul": Kind(_one_scale),
    "bytes, scale a row, plain": Kind(_plain),
    "bytes, scale a row, fused": Kind(_fused),
    "the same, inexact": Kind(_fused, exact=False),
    "MatMulInteger u8 s8 alone, inexact": _integers(np.uint8, True, exact=False),
    "MatMulInteger u8 u8 alone": _integers(np.uint8, False),
    "MatMulInteger s8 s8 alone": _integers(np.int8, True),
}


class Product:
    """A graph of one product. Errors: whatever onnxruntime raises where it has no such kernel."""

    def __init__(self, kind: Kind, weights: Floats, threads: int) -> None:
        self._kind = kind
        inputs, outputs = weights.shape
        given, made = (
            (TensorProto.FLOAT, TensorProto.FLOAT)
            if kind.integers is None
            else (helper.np_dtype_to_tensor_dtype(np.dtype(kind.integers)), TensorProto.INT32)
        )
        nodes, tensors = kind.build(weights)
        graph = helper.make_graph(
            nodes,
            "product",
            [helper.make_tensor_value_info("x", given, ["rows", inputs])],
            [helper.make_tensor_value_info("y", made, ["rows", outputs])],
            [numpy_helper.from_array(np.asarray(values), name) for name, values in tensors.items()],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.add_session_config_entry(WIDE_SUMS, str(int(kind.exact)))
        options.add_session_config_entry("session.force_spinning_stop", "1")  # or its threads are in the others' way
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def given(self, values: Floats) -> NDArray[Any]:
        """``values`` as this product takes them."""
        if self._kind.integers is None:
            return values
        scaled = np.rint(values / np.abs(values).max(axis=1, keepdims=True) * 127)
        middle = 0 if self._kind.integers is np.int8 else 128
        made: NDArray[Any] = (scaled + middle).astype(self._kind.integers)
        return made

    def run(self, given: NDArray[Any]) -> NDArray[Any]:
        """The product, ``[rows, outputs]``."""
        made: NDArray[Any] = self._session.run(None, {"x": given})[0]
        return made

    def timed(self, given: NDArray[Any]) -> Callable[[], float]:
        """Seconds of one product: the fastest of a burst, because threads and caches must warm up after other work."""

        def seconds() -> float:
            taken: list[float] = []
            while sum(taken) < BURST_S and len(taken) < MOST_BURST:
                began = time.perf_counter()
                self.run(given)
                taken.append(time.perf_counter() - began)
            return min(taken)

        return seconds


def error(product: Product, values: Floats, weights: Floats) -> float:
    """Distance of a product from the exact one, as a share of its length. For whole numbers, the exact one is that of
    the same bytes, so anything but 0 means sums that overflow.
    """
    made = product.run(product.given(values)).astype(np.float64)
    if product._kind.integers is not None:
        given = product.given(values).astype(np.int64) - (0 if product._kind.integers is np.int8 else 128)
        exact = (given @ _columns(weights)[0].astype(np.int64)).astype(np.float64)
    else:
        exact = values.astype(np.float64) @ weights.astype(np.float64)
    return float(np.linalg.norm(made - exact) / np.linalg.norm(exact))


def random_layer(shape: Shape, rows: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Inputs ``[rows, inputs]`` and weights ``[inputs, outputs]``, normally distributed."""
    rng = np.random.default_rng(seed)
    weights = 0.02 * rng.standard_normal((shape.inputs, shape.outputs), np.float32)
    return rng.standard_normal((rows, shape.inputs), np.float32), weights


def products(shape: Shape, threads: int) -> dict[str, Product]:
    """A product of every kind that this onnxruntime has on this processor."""
    _, weights = random_layer(shape, 1)
    found = {}
    for name, kind in KINDS.items():
        try:
            found[name] = Product(kind, weights, threads)
        except Exception as missing:  # onnxruntime's own types
            print(f"{name}: {str(missing).splitlines()[0]}", file=sys.stderr)
    return found


def report(sizes: Sizes, rows: Sequence[int], rounds: int, threads: int) -> Report:
    """For each kind: 10^9 operations a second of all products of a layer, and its error."""
    seconds: dict[str, dict[int, float]] = {}
    for shape in sizes.shapes:
        found = products(shape, threads)
        for count in rows:
            values, _ = random_layer(shape, count)
            timed = interleave({name: one.timed(one.given(values)) for name, one in found.items()}, rounds)
            for name, taken in timed.items():
                at = seconds.setdefault(name, {})
                at[count] = at.get(count, 0.0) + shape.count * median(taken)
        del found
    operations = 2e-9 * sum(shape.count * shape.inputs * shape.outputs for shape in sizes.shapes)
    rates: list[tuple[Cell, ...]] = [
        (name, *(operations * count / at[count] for count in rows)) for name, at in seconds.items()
    ]
    bounds: list[tuple[Cell, ...]] = [
        (name, *(count / (sizes.layers * at[count]) for count in rows)) for name, at in seconds.items()
    ]
    heads = tuple(f"{count} rows" for count in rows)
    tables = (
        Table("10^9 operations a second, all products of a layer", ("kind", *heads), tuple(rates)),
        Table("tokens a second, if nothing but these products took time", ("kind", *heads), tuple(bounds)),
        Table(
            f"relative error on even inputs, and with one column {LARGE:g} times the others",
            ("kind", "even", "one large"),
            tuple(errors(sizes.shapes[2], threads)),
        ),
    )
    ratios = tuple(
        Ratio(f"{count} rows, {name} / {NOW}", seconds[name][count] / seconds[NOW][count])
        for name in seconds
        for count in rows
        if name != NOW
    )
    return Report("prefill products", {**machine(), **flags(), "threads": threads}, tables, ratios)


def errors(shape: Shape, threads: int) -> list[tuple[str, float, float]]:
    """The errors of each kind."""
    even, weights = random_layer(shape, 64)
    large = even.copy()
    large[:, 7] *= LARGE
    found = products(shape, threads)
    return [(name, error(one, even, weights), error(one, large, weights)) for name, one in found.items()]


def flags() -> dict[str, str]:
    """Which instructions for products of bytes the processor has, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # only Linux has it
        return {}
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    known = ("avx2", "avx_vnni", "avx512_vnni", "amx_int8")
    return {"instructions": " ".join(flag for flag in known if lines and flag in lines[0].split()) or "none of these"}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefill_products", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="qwen-0.5b", help="whose shapes")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as onnxruntime likes")
    chosen = parser.parse_args(arguments)
    print(as_text(report(MODELS[chosen.model], chosen.rows, chosen.rounds, chosen.threads)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
