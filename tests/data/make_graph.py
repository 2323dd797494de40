"""Writes ``attention.onnx``, the graph that ``tests/engine/test_session.py`` runs: ``python tests/data/make_graph.py``.

One decoder layer with rotary positions around com.microsoft GroupQueryAttention, as exported models have it, past and
present in one buffer. It needs the ``export`` extra (onnx); its output is committed, so the tests do not. The weights
are sines of a running index, made by the graph itself: a file of four kilobytes for any vocabulary.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEAD, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, POSITIONS = 512, 16, 2, 1, 16, 256


class Graph:
    """Collects nodes; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(
        self, operator: str, *inputs: str, domain: str = "", outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        names = outputs or [f"{operator.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names[0]

    def index(self, rows: int, columns: int) -> str:
        """0, 1, 2, ... as float32, ``[rows, columns]``."""
        count = self.constant(float(rows * columns), np.float32)
        numbers = self.node("Range", self.constant(0.0, np.float32), count, self.constant(1.0, np.float32))
        return self.node("Reshape", numbers, self.constant([rows, columns]))

    def weight(self, rows: int, columns: int, frequency: float, scale: float) -> str:
        angle = self.node("Mul", self.index(rows, columns), self.constant(frequency, np.float32))
        return self.node("Mul", self.node("Sin", angle), self.constant(scale, np.float32))

    def rotary(self, function: str) -> str:
        """Cosines or sines of position times frequency, ``[POSITIONS, HEAD_SIZE / 2]``."""
        frequencies = self.constant(10000.0 ** (-np.arange(HEAD_SIZE // 2) / (HEAD_SIZE // 2)), np.float32)
        return self.node(function, self.node("Mul", self.index(POSITIONS, 1), frequencies))


def decoder(graph: Graph) -> None:
    """From ``input_ids`` and the cache to ``logits``."""
    embedding = graph.weight(HEAD, HIDDEN, 12.9898, 1.0)
    hidden = graph.node("Gather", embedding, "input_ids")
    projected = [
        graph.node("MatMul", hidden, graph.weight(HIDDEN, heads * HEAD_SIZE, frequency, 0.5))
        for heads, frequency in ((HEADS, 78.233), (KV_HEADS, 37.719), (KV_HEADS, 93.989))
    ]
    total = graph.node("ReduceSum", "attention_mask", graph.constant([1]), keepdims=0)
    last = graph.node("Cast", graph.node("Sub", total, graph.constant(1)), to=TensorProto.INT32)
    length = graph.node("Shape", "attention_mask", start=1, end=2)
    length = graph.node("Cast", graph.node("Squeeze", length), to=TensorProto.INT32)
    attended = graph.node(
        "GroupQueryAttention",
        *projected,
        "past_key_values.0.key",
        "past_key_values.0.value",
        last,
        length,
        graph.rotary("Cos"),
        graph.rotary("Sin"),
        domain="com.microsoft",
        outputs=["attended", "present.0.key", "present.0.value"],
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        do_rotary=1,
    )
    mixed = graph.node("MatMul", attended, graph.weight(HEADS * HEAD_SIZE, HIDDEN, 51.531, 4.0))
    rows = graph.node("Gather", graph.node("Add", hidden, mixed), "logits_positions", axis=1)
    graph.node("MatMul", rows, graph.weight(HIDDEN, HEAD, 23.421, 3.0), outputs=["logits"])


def model() -> Any:
    graph = Graph()
    decoder(graph)
    cache = ["batch", KV_HEADS, "length", HEAD_SIZE]
    declare = helper.make_tensor_value_info
    inputs = [
        declare("input_ids", TensorProto.INT64, ["batch", "new"]),
        declare("attention_mask", TensorProto.INT64, ["batch", "total"]),
        declare("logits_positions", TensorProto.INT64, ["rows"]),
        *(declare(f"past_key_values.0.{part}", TensorProto.FLOAT, cache) for part in ("key", "value")),
    ]
    outputs = [
        declare("logits", TensorProto.FLOAT, ["batch", "rows", HEAD]),
        *(declare(f"present.0.{part}", TensorProto.FLOAT, cache) for part in ("key", "value")),
    ]
    body = helper.make_graph(graph.nodes, "attention", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10, producer_name="midtoken tests")


if __name__ == "__main__":
    onnx.save(model(), Path(__file__).with_name("attention.onnx"))
