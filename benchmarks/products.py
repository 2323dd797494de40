"""`python -m benchmarks.products`: the speed of the processor's matrix products, which limits the speed of a prefill.

A prefill is mostly products of some hundred rows with the weights. So its tokens a second are bounded by the arithmetic
of the library's product: two operations for each weight and token. Each kind is one product ``[rows, in] x [in, out]``,
all interleaved; torch is the peer. Needs the environment of `make test-export`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.tables import Ratio, Report, Table, as_text, interleave, machine, median, median_ratio

WIDTH, INNER = 1024, 2816  # of the 300 M model of benchmarks.generators
ROWS = (64, 128, 512)
BURST = 12

Run = Callable[[], object]


def products(rows: int, inputs: int, outputs: int) -> dict[str, Run]:
    """One product of random float32 ``[rows, inputs]`` with constant weights ``[inputs, outputs]``, by each kernel."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, inputs), np.float32)
    weights = rng.standard_normal((inputs, outputs), np.float32)
    runs = {"onnxruntime, float32": _graph(values, weights)}
    for bits in (8, 4):
        runs[f"onnxruntime, {bits} bits, activations rounded to 8"] = _graph(values, weights, bits)
    return {**runs, **_torch(values, weights)}


def _graph(values: np.ndarray, weights: np.ndarray, bits: int | None = None) -> Run:
    """A graph of one product; with ``bits`` quantised as an export for the CPU is."""
    from onnx import TensorProto, helper, numpy_helper

    from engine.runtime.ort import ort
    from onnx_export.quantize import plan, quantise_products

    def declared(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])

    node = helper.make_node("MatMul", ["values", "weights"], ["products"], name="product")
    graph = helper.make_graph(
        [node],
        "product",
        [declared("values", weights.shape[0])],
        [declared("products", weights.shape[1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if bits is not None:
        model = quantise_products(model, plan("int8" if bits == 8 else "int4", "cpu"), head="")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.force_spinning_stop", "1")  # its threads would be in the others' way
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"values": values})


def _torch(values: np.ndarray, weights: np.ndarray) -> dict[str, Run]:
    import torch

    pairs = {
        name: (torch.from_numpy(values).to(dtype), torch.from_numpy(weights.T.copy()).to(dtype))
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    return {f"torch, {name}": partial(torch.nn.functional.linear, *pair) for name, pair in pairs.items()}


def report(rounds: int, width: int = WIDTH, inner: int = INNER) -> Report:
    """10^9 operations a second, for each kind and number of rows."""
    rows, ratios = [], []
    for count in ROWS:
        runs = products(count, width, inner)
        timed = interleave({name: _timed(run) for name, run in runs.items()}, rounds)
        operations = 2e-9 * count * width * inner
        rows += [(f"{count} rows, {name}", operations / median(found)) for name, found in timed.items()]
        peer = timed["torch, float32"]
        ratios += [Ratio(f"{count} rows, {name} / torch, float32", median_ratio(peer, timed[name])) for name in timed]
    table = Table(f"[rows, {width}] x [{width}, {inner}]", ("product", "10^9 operations/s"), tuple(rows))
    return Report("products", machine(), (table,), tuple(ratios))


def _timed(run: Run) -> Callable[[], float]:
    """Seconds of one product, the fastest of a burst, because threads and caches must warm up after other work."""

    def seconds() -> float:
        taken = []
        for _ in range(BURST):
            began = time.perf_counter()
            run()
            taken.append(time.perf_counter() - began)
        return min(taken)

    return seconds


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.products", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    print(as_text(report(parser.parse_args(arguments).rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
