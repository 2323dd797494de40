"""The graph of a decoder: embedding, layers of attention and feed-forward, head. One function for each part.

The inputs and outputs are those of every exported model (docs/models.md): ids, mask, the positions whose logits are
wanted, and keys and values in buffers of full length that attention reads and writes in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from engine.model_folder.manifest import GraphNames
from onnx_export.graph_writer.data_file import DataFile
from onnx_export.graph_writer.decoder import Decoder, Layer, rotary_order
from onnx_export.graph_writer.graph import MICROSOFT, Columns, Graph, Stored, Tick
from onnx_export.graph_writer.weights import Floats, Matrix, Weights, joined, reordered

MODEL_FILE = "model.onnx"
READING_FILE = "reading.onnx"
DATA_FILE = "model.onnx.data"


def write_graph(
    decoder: Decoder,
    weights: Weights,
    folder: Path,
    tick: Tick,
    reading: Weights | None = None,
    apart: Columns | None = None,
) -> None:
    """Write `MODEL_FILE` and `DATA_FILE` into a folder. ``tick`` is called with the number of weights as they are
    written; what it raises ends the writing. With ``reading``, the same weights in a form that suits many rows, also
    write `READING_FILE`, whose weights are in the same data file. ``apart`` are columns of inputs that products of
    bytes take as floats (`onnx_export.outliers`). Errors: ExportError from the weights, OSError if there is no room.
    """
    with DataFile(folder / DATA_FILE) as data:
        graph = Graph(data, tick, apart)
        table = _Writer(decoder, weights, graph).write()
        graph.save(folder / MODEL_FILE)
        if reading is not None:
            second = Graph(data, tick, apart)
            _Writer(decoder, reading, second).write_reading(table)
            second.save(folder / READING_FILE)


def write_trial(decoder: Decoder, weights: Weights, folder: Path, tick: Tick) -> list[str]:
    """Write a graph without head whose outputs are also the inputs of its products; returns the names of these. See
    `write_graph`.
    """
    with DataFile(folder / DATA_FILE) as data:
        graph = Graph(data, tick)
        _Writer(decoder, weights, graph).write_layers()
        for name, width in graph.multiplied.items():
            graph.output(name, ["batch", "sequence", width])
        graph.save(folder / MODEL_FILE)
    return list(graph.multiplied)


@dataclass(frozen=True, slots=True)
class _Stream:
    """The residual stream: ``hidden``, and what is still to be added to it (by the next norm, which does both)."""

    hidden: str
    added: str | None = None


class _Writer:
    def __init__(self, decoder: Decoder, weights: Weights, graph: Graph) -> None:
        self._decoder, self._weights, self._graph = decoder, weights, graph
        self._names = GraphNames()
        self._tables: dict[object, tuple[str, str]] = {}
        self._order = rotary_order(decoder.head_size, decoder.layers[0].rope.size)

    def write(self) -> Stored:
        """Write the whole graph. Returns the embedding."""
        graph = self._graph
        wanted = graph.input(str(self._names.logits_positions), TensorProto.INT64, ["num_positions"])
        table = graph.stored("token_embd", self._weights.matrix("token_embd.weight"))
        stream = self._embedded(table)
        for number, layer in enumerate(self._decoder.layers):
            stream = self._layer(number, layer, stream)
        normed, _ = self._norm("output_norm", stream)
        rows = graph.node("Gather", [normed, wanted], "wanted", axis=1)
        self._logits(rows, self._head(table))
        return table

    def write_layers(self) -> None:
        """Write embedding and layers only."""
        stream = self._embedded(self._graph.stored("token_embd", self._weights.matrix("token_embd.weight")))
        for number, layer in enumerate(self._decoder.layers):
            stream = self._layer(number, layer, stream)

    def write_reading(self, table: Stored) -> None:
        """Write a graph that only makes keys and values: no head, and of the last layer nothing after them. ``table``
        is the embedding in the data file.
        """
        if table.matrix.form is not None and table.matrix.form.offsets:  # its offsets are a tensor of the other graph
            table = self._graph.stored("token_embd", table.matrix)
        stream = self._embedded(table)
        *most, last = enumerate(self._decoder.layers)
        for number, layer in most:
            stream = self._layer(number, layer, stream)
        normed, _ = self._norm(f"blk.{last[0]}.attn_norm", stream)
        self._attended(*last, normed)

    def _embedded(self, table: Stored) -> _Stream:
        graph, names = self._graph, self._names
        ids = graph.input(names.input_ids, TensorProto.INT64, ["batch", "sequence"])
        self._lengths(graph.input(names.attention_mask, TensorProto.INT64, ["batch", "total"]))
        return _Stream(self._scaled(graph.lookup(ids, table, "embedding"), self._decoder.embedding_scale))

    def _lengths(self, mask: str) -> None:
        graph = self._graph
        sums = graph.node("ReduceSum", [mask, graph.constant([1])], "mask/sum", keepdims=0)
        last = graph.node("Sub", [sums, graph.constant([1])], "mask/last")
        graph.node("Cast", [last], "last", to=TensorProto.INT32)
        shape = graph.node("Shape", [mask], "mask/shape")
        total = graph.node("Gather", [shape, graph.constant(1)], "mask/total")
        graph.node("Cast", [total], "total", to=TensorProto.INT32)

    def _head(self, table: Stored) -> Stored:
        if self._weights.shape("output.weight") is None:
            return table
        return self._graph.stored("output", self._weights.matrix("output.weight"))

    def _logits(self, hidden: str, head: Stored) -> None:
        graph, decoder = self._graph, self._decoder
        made = graph.product(hidden, head, self._optional("output.bias"))
        made = self._scaled(made, decoder.logit_scale)
        if decoder.logit_cap:
            made = self._scaled(made, 1.0 / decoder.logit_cap)
            made = graph.node("Tanh", [made], f"{made}/capped")
            made = self._scaled(made, decoder.logit_cap)
        graph.node("Identity", [made], self._names.logits)
        graph.output(self._names.logits, ["batch", "num_positions", head.matrix.rows])

    def _layer(self, number: int, layer: Layer, stream: _Stream) -> _Stream:
        block = f"blk.{number}"
        normed, hidden = self._norm(f"{block}.attn_norm", stream)
        attended = self._attention(number, layer, normed)
        if self._has(f"{block}.post_attention_norm.weight"):
            attended, _ = self._norm(f"{block}.post_attention_norm", _Stream(attended))
        attended = self._scaled(attended, self._decoder.residual_scale)
        if self._decoder.parallel and not self._has(f"{block}.ffn_norm.weight"):
            both = self._graph.node("Add", [attended, self._feed_forward(block, normed)], f"{block}/both")
            return _Stream(hidden, both)
        normed, hidden = self._norm(f"{block}.ffn_norm", _Stream(hidden, attended))
        made = self._feed_forward(block, normed)
        if self._has(f"{block}.post_ffw_norm.weight"):
            made, _ = self._norm(f"{block}.post_ffw_norm", _Stream(made))
        return _Stream(hidden, self._scaled(made, self._decoder.residual_scale))

    def _attention(self, number: int, layer: Layer, normed: str) -> str:
        return self._product(self._attended(number, layer, normed), f"blk.{number}.attn_output")

    def _attended(self, number: int, layer: Layer, normed: str) -> str:
        """Attention without its last product. Its keys and values are outputs of the graph."""
        graph, decoder, names, block = self._graph, self._decoder, self._names, f"blk.{number}"
        shape: list[int | str] = ["batch", decoder.key_value_heads, "past", decoder.head_size]
        past = [
            graph.input(template.format(number), TensorProto.FLOAT, shape)
            for template in (names.past_key, names.past_value)
        ]
        present = [template.format(number) for template in (names.present_key, names.present_value)]
        cos, sin = self._rotation(layer)
        attributes = {
            "num_heads": decoder.heads,
            "kv_num_heads": decoder.key_value_heads,
            "scale": decoder.attention_scale or decoder.head_size**-0.5,
            "do_rotary": 1,
            "rotary_interleaved": 0,
        }
        if decoder.attention_cap:
            attributes["softcap"] = decoder.attention_cap
        if layer.window is not None:
            attributes["local_window_size"] = layer.window
        attended = graph.node(
            "GroupQueryAttention",
            [*self._queries_keys_values(block, normed), *past, "last", "total", cos, sin],
            f"{block}/attended",
            *present,
            domain=MICROSOFT,
            **attributes,
        )
        for name in present:
            graph.output(name, shape)
        return attended

    def _queries_keys_values(self, block: str, normed: str) -> list[str]:
        """Query, key and value. If one product makes all three, its name and two empty names."""
        names = [f"{block}.attn_{part}" for part in "qkv"]
        parts = self._attention_matrices(block)
        biases = self._attention_biases(block)
        if self._order is not None:
            for number, count in enumerate((self._decoder.heads, self._decoder.key_value_heads)):
                order = (np.arange(count)[:, None] * self._decoder.head_size + self._order).ravel()
                parts[number] = reordered(parts[number], order)
                if biases is not None:
                    biases[number] = biases[number][order]
        normed_parts = self._has(f"{block}.attn_q_norm.weight") or self._has(f"{block}.attn_k_norm.weight")
        if not normed_parts and len({part.form for part in parts}) == 1:
            bias = None if biases is None else np.concatenate(biases)
            stored = self._graph.stored(f"{block}.attn_qkv", joined(parts))
            return [self._graph.product(normed, stored, bias), "", ""]
        made = [
            self._graph.product(normed, self._graph.stored(name, part), None if biases is None else biases[number])
            for number, (name, part) in enumerate(zip(names, parts, strict=True))
        ]
        if normed_parts:
            heads = (self._decoder.heads, self._decoder.key_value_heads)
            for number, count in enumerate(heads):
                made[number] = self._head_norm(f"{names[number]}_norm", made[number], count)
        return made

    def _attention_matrices(self, block: str) -> list[Matrix]:
        if not self._has(f"{block}.attn_qkv.weight"):
            return [self._weights.matrix(f"{block}.attn_{part}.weight") for part in "qkv"]
        whole = self._weights.matrix(f"{block}.attn_qkv.weight")
        return [whole.slice(start, stop) for start, stop in self._attention_rows()]

    def _attention_biases(self, block: str) -> list[Floats] | None:
        whole = self._optional(f"{block}.attn_qkv.bias")
        if whole is not None:
            return [whole[start:stop] for start, stop in self._attention_rows()]
        found = [self._optional(f"{block}.attn_{part}.bias") for part in "qkv"]
        if all(bias is None for bias in found):
            return None
        rows = self._attention_rows()
        return [
            np.zeros(stop - start, np.float32) if bias is None else bias
            for bias, (start, stop) in zip(found, rows, strict=True)
        ]

    def _attention_rows(self) -> list[tuple[int, int]]:
        """The ranges of rows of query, key and value in their joint matrix."""
        sizes = [
            count * self._decoder.head_size for count in (self._decoder.heads, *2 * [self._decoder.key_value_heads])
        ]
        ends = np.cumsum(sizes).tolist()
        return list(zip([0, *ends], ends, strict=False))

    def _head_norm(self, name: str, values: str, heads: int) -> str:
        graph = self._graph
        split = graph.node("Reshape", [values, graph.constant([0, 0, heads, -1])], f"{name}/split")
        if self._weights.shape(f"{name}.weight") == (heads, self._decoder.head_size):
            normed = self._each_head_norm(name, split, heads)
        else:
            normed, _ = self._norm(name, _Stream(split), self._order)
        return graph.node("Reshape", [normed, graph.constant([0, 0, -1])], f"{name}/whole")

    def _each_head_norm(self, name: str, split: str, heads: int) -> str:
        """A norm with weights of its own for each head, over ``[B, S, heads, head size]``."""
        graph = self._graph
        scales = self._weights.matrix(f"{name}.weight").floats(0, heads)
        scales = scales if self._order is None else scales[:, self._order]
        kind = "LayerNormalization" if self._decoder.norm == "layer" else "SimplifiedLayerNormalization"
        ones = graph.tensor(f"{name}/ones", np.ones(self._decoder.head_size, np.float32))
        made = graph.node(kind, [split, ones], f"{name}/plain", axis=-1, epsilon=self._decoder.epsilon)
        return graph.node("Mul", [made, graph.tensor(f"{name}/scales", scales)], f"{name}/normed")

    def _feed_forward(self, block: str, normed: str) -> str:
        graph = self._graph
        up = self._weights.matrix(f"{block}.ffn_up.weight")
        gate: Matrix | None = None
        down = self._weights.shape(f"{block}.ffn_down.weight")
        assert down is not None
        if self._has(f"{block}.ffn_gate.weight"):
            gate = self._weights.matrix(f"{block}.ffn_gate.weight")
        elif up.rows == 2 * down[1]:  # Phi-3: the gate above, the rest below
            gate, up = up.slice(0, down[1]), up.slice(down[1], up.rows)
        raised = self._product(normed, f"{block}.ffn_up", up)
        if gate is None:
            made = self._activation(block, raised)
        else:
            opened = self._activation(block, self._product(normed, f"{block}.ffn_gate", gate))
            made = graph.node("Mul", [opened, raised], f"{block}/gated")
        return self._product(made, f"{block}.ffn_down")

    def _activation(self, block: str, values: str) -> str:
        name = f"{block}/active"
        kinds: dict[str, Callable[[], str]] = {
            "silu": lambda: self._graph.node("QuickGelu", [values], name, domain=MICROSOFT, alpha=1.0),
            "gelu": lambda: self._graph.node("Gelu", [values], name, domain=MICROSOFT),
            "gelu-tanh": lambda: self._graph.node("FastGelu", [values], name, domain=MICROSOFT),
        }
        return kinds[self._decoder.activation]()

    def _norm(self, name: str, stream: _Stream, order: NDArray[np.int64] | None = None) -> tuple[str, str]:
        """The normed stream and the stream itself, whose pending part is added on the way. ``order`` is that of the
        values.
        """
        graph, epsilon = self._graph, self._decoder.epsilon
        taken = slice(None) if order is None else order
        scale = graph.tensor(f"{name}/scale", self._weights.vector(f"{name}.weight")[taken])
        layer = self._decoder.norm == "layer"
        inputs = [scale]
        if layer:
            bias = self._optional(f"{name}.bias")
            inputs += [] if bias is None else [graph.tensor(f"{name}/bias", bias[taken])]
        if stream.added is None:
            kind = "LayerNormalization" if layer else "SimplifiedLayerNormalization"
            made = graph.node(kind, [stream.hidden, *inputs], f"{name}/normed", axis=-1, epsilon=epsilon)
            return made, stream.hidden
        kind = "SkipLayerNormalization" if layer else "SkipSimplifiedLayerNormalization"
        outputs = (f"{name}/normed", "", "", f"{name}/stream")
        made = graph.node(kind, [stream.hidden, stream.added, *inputs], *outputs, domain=MICROSOFT, epsilon=epsilon)
        return made, outputs[3]

    def _rotation(self, layer: Layer) -> tuple[str, str]:
        if layer.rope not in self._tables:
            number = len(self._tables)
            cos, sin = layer.rope.tables(self._decoder.context_length)
            names = (self._graph.tensor(f"cos.{number}", cos), self._graph.tensor(f"sin.{number}", sin))
            self._tables[layer.rope] = names
        return self._tables[layer.rope]

    def _product(self, hidden: str, name: str, matrix: Matrix | None = None) -> str:
        matrix = self._weights.matrix(f"{name}.weight") if matrix is None else matrix
        return self._graph.product(hidden, self._graph.stored(name, matrix), self._optional(f"{name}.bias"))

    def _scaled(self, values: str, factor: float) -> str:
        if factor == 1.0:
            return values
        factor_name = self._graph.constant(factor, np.float32)
        return self._graph.node("Mul", [values, factor_name], f"{values}/scaled")

    def _has(self, name: str) -> bool:
        return self._weights.shape(name) is not None

    def _optional(self, name: str) -> Floats | None:
        return self._weights.vector(name) if self._has(name) else None
