"""Writes the graphs that ``tests/engine/runtime/test_session.py`` runs: ``python tests/data/make_graph.py``.

``attention.onnx`` is one decoder layer with rotary positions and com.microsoft GroupQueryAttention, as exported models
have it. Past and present share one buffer. ``separate.onnx`` is a layer as other exporters write it: attention in plain
operators, past and present of different lengths, position ids, logits of all positions. The script needs the ``export``
extra (onnx). The files are committed, so the tests do not need it. The weights are sines of a running index that the
graphs compute themselves, so a file has four kilobytes for any vocabulary.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEAD, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, POSITIONS = 512, 16, 2, 1, 16, 256


class Graph:
    """Collects nodes. Every method returns the name of its result."""

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


def separate_decoder(graph: Graph) -> None:
    """From ``input_ids``, ``position_ids`` and a past to ``logits`` and a present that also has the new tokens."""
    positions = graph.node("Cast", "position_ids", to=TensorProto.FLOAT)
    frequencies = graph.constant(1.7 ** -np.arange(HIDDEN), np.float32)
    angles = graph.node("Mul", graph.node("Unsqueeze", positions, graph.constant([2])), frequencies)
    embedded = graph.node("Gather", graph.weight(HEAD, HIDDEN, 12.9898, 1.0), "input_ids")
    hidden = graph.node("Add", embedded, graph.node("Sin", angles))

    def heads(count: int, frequency: float) -> str:
        flat = graph.node("MatMul", hidden, graph.weight(HIDDEN, count * HEAD_SIZE, frequency, 0.5))
        shape = graph.constant([0, 0, count, HEAD_SIZE])
        return graph.node("Transpose", graph.node("Reshape", flat, shape), perm=[0, 2, 1, 3])

    query, key, value = heads(HEADS, 78.233), heads(KV_HEADS, 37.719), heads(KV_HEADS, 93.989)
    for part, new in (("key", key), ("value", value)):
        graph.node("Concat", f"past_key_values.0.{part}", new, axis=2, outputs=[f"present.0.{part}"])
    scores = graph.node("MatMul", query, graph.node("Transpose", "present.0.key", perm=[0, 1, 3, 2]))
    total = graph.node("Squeeze", graph.node("Shape", "present.0.key", start=2, end=3))
    places = graph.node("Range", graph.constant(0), total, graph.constant(1))
    before = graph.node("LessOrEqual", places, graph.node("Unsqueeze", "position_ids", graph.constant([1, 3])))
    mask = graph.node("Unsqueeze", "attention_mask", graph.constant([1, 2]))
    seen = graph.node("And", before, graph.node("Cast", mask, to=TensorProto.BOOL))  # [B, 1, S, T]
    weights = graph.node("Softmax", graph.node("Where", seen, scores, graph.constant(-1e9, np.float32)), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", weights, "present.0.value"), perm=[0, 2, 1, 3])
    flat = graph.node("Reshape", mixed, graph.constant([0, 0, HEADS * HEAD_SIZE]))
    output = graph.node("MatMul", flat, graph.weight(HEADS * HEAD_SIZE, HIDDEN, 51.531, 4.0))
    final = graph.node("Add", hidden, output)
    graph.node("MatMul", final, graph.weight(HIDDEN, HEAD, 23.421, 3.0), outputs=["logits"])


def model(*, separate: bool) -> Any:
    graph = Graph()
    (separate_decoder if separate else decoder)(graph)
    own = "position_ids" if separate else "logits_positions"
    cache: list[Any] = ["batch", KV_HEADS, "length", HEAD_SIZE]
    grown: list[Any] = ["batch", KV_HEADS, "total", HEAD_SIZE] if separate else cache
    declare = helper.make_tensor_value_info
    inputs = [
        declare("input_ids", TensorProto.INT64, ["batch", "new"]),
        declare("attention_mask", TensorProto.INT64, ["batch", "total"]),
        declare(own, TensorProto.INT64, ["batch", "new"] if separate else ["rows"]),
        *(declare(f"past_key_values.0.{part}", TensorProto.FLOAT, cache) for part in ("key", "value")),
    ]
    outputs = [
        declare("logits", TensorProto.FLOAT, ["batch", "new" if separate else "rows", HEAD]),
        *(declare(f"present.0.{part}", TensorProto.FLOAT, grown) for part in ("key", "value")),
    ]
    body = helper.make_graph(graph.nodes, "separate" if separate else "attention", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10, producer_name="midtoken tests")


if __name__ == "__main__":
    for name in ("attention", "separate"):
        onnx.save(model(separate=name == "separate"), Path(__file__).with_name(f"{name}.onnx"))
