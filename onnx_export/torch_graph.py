"""Graphs of families that the model builder does not support, made by torch's exporter.

The model of transformers is traced with one change: its attention is com.microsoft GroupQueryAttention, which reads and
writes key/value buffers of full length. So the graph has the same inputs, outputs and cache as the builder's, and runs
the same fused kernel. The model's own rotary or learned positions are not changed.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.model_folder.manifest import GraphNames
from onnx_export.quantize import Plan
from onnx_export.shapes import Shape, shape_of
from onnx_export.torch_model import load_model

ATTENTION = "midtoken"
OPSET = 20


class KeyValueBuffers:
    """Stands in for the cache of transformers during tracing: keys and values go through it to `attend` unchanged."""

    is_compileable = False

    def __init__(self, past: Sequence[tuple[Tensor, Tensor]], last: Tensor, total: Tensor) -> None:
        self.past = past
        self.present: dict[int, tuple[Tensor, Tensor]] = {}
        self._last, self._total = last, total

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        return key, value

    def get_seq_length(self, layer: int = 0) -> int:
        return 0

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of ``[B, heads, S, size]`` over the buffers and the new keys: ``[B, S, heads, size]``."""
        batch, heads, count, size = query.shape
        flat = [tensor.transpose(1, 2).reshape(batch, count, -1) for tensor in (query, key, value)]
        past_key, past_value = self.past[layer]
        attributes: dict[str, int | float] = {"num_heads": heads, "kv_num_heads": key.shape[1], "scale": float(scale)}
        if window is not None:
            attributes["local_window_size"] = window
        attended, present_key, present_value = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            (*flat, past_key, past_value, self._last, self._total),
            attributes,
            dtypes=(query.dtype,) * 3,
            shapes=((batch, count, heads * size), past_key.shape, past_value.shape),
            version=1,
        )
        self.present[layer] = (present_key, present_value)
        return attended.reshape(batch, count, heads, size)


class Product(nn.Module):
    """A linear layer as a product with a constant ``[in, out]``, the form in which weights can be quantised."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        product = torch.matmul(values, self.weight)
        return product if self.bias is None else product + self.bias


class TiedHead(nn.Module):
    """The output head over the embedding's own table ``[V, width]``, so that it is stored once."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, hidden: Tensor) -> Tensor:
        table = self.embedding.weight
        batch, count, width = hidden.shape
        flat = torch.onnx.ops.symbolic(
            "Gemm",
            (hidden.reshape(batch * count, width), table),
            {"transB": 1},
            dtype=hidden.dtype,
            shape=(batch * count, table.shape[0]),
        )
        return flat.reshape(batch, count, table.shape[0])


class ModelStep(nn.Module):
    """One forward pass as the engine makes it: see the table of tensors in ``docs/models.md``."""

    def __init__(self, model: Any, layers: int) -> None:
        super().__init__()
        self.model = model
        self.layers = layers
        self.traced: list[KeyValueBuffers] = []  # of the pass that is being traced

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, logits_positions: Tensor, past: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, ...]:
        count, total = input_ids.shape[1], attention_mask.shape[1]
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)[:, total - count :]
        last = (attention_mask.sum(1) - 1).to(torch.int32)
        buffers = KeyValueBuffers(past, last, torch.scalar_tensor(total, dtype=torch.int32))
        self.traced[:] = [buffers]
        outputs = self.model(
            input_ids=input_ids,
            position_ids=positions,
            past_key_values=buffers,
            use_cache=True,
            logits_to_keep=logits_positions,
        )
        present = [tensor for layer in range(self.layers) for tensor in buffers.present[layer]]
        return (outputs.logits.float(), *present)


def build(checkpoint: Path, chosen: Plan, built: Path, *, tied: bool) -> None:
    """Write ``built / "model.onnx"``, the graph of ``checkpoint`` in float32 or float16, not quantised yet."""
    model = load_model(checkpoint, chosen.key_value_dtype)
    share = tied and chosen.layer_bits is None
    _use_products(model, share=share)
    shape = shape_of(model.config)
    layers = shape.layers
    step = ModelStep(model, layers).eval()
    with _attention(step), _quiet(), torch.inference_mode():
        arguments, dynamic = _example(shape, getattr(torch, chosen.key_value_dtype))
        names = GraphNames()
        past = [name.format(layer) for layer in range(layers) for name in (names.past_key, names.past_value)]
        present = [name.format(layer) for layer in range(layers) for name in (names.present_key, names.present_value)]
        program = torch.onnx.export(
            step,
            arguments,
            dynamo=True,
            input_names=[names.input_ids, names.attention_mask, str(names.logits_positions), *past],
            output_names=[names.logits, *present],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        built.mkdir(parents=True, exist_ok=True)
        program.save(str(built / "model.onnx"), external_data=True)


def _example(shape: Shape, dtype: torch.dtype) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments to trace with, and which of their axes vary in length."""
    varies = torch.export.Dim.DYNAMIC
    buffer = (2, shape.key_value_heads, 7, shape.head_size)
    past = [tuple(torch.zeros(buffer, dtype=dtype) for _ in range(2)) for _ in range(shape.layers)]
    ids, mask, rows = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 5, dtype=torch.long), torch.tensor([0, 2])
    both = {0: varies, 1: varies}
    return (ids, mask, rows, past), (both, both, {0: varies}, [({0: varies, 2: varies},) * 2] * shape.layers)


def _use_products(model: Any, *, share: bool) -> None:
    """Replace every linear layer (and GPT-2's transposed ones) by a `Product`."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if child is head and share:
                module.add_module(name, TiedHead(model.get_input_embeddings()))
            elif isinstance(child, nn.Linear):
                module.add_module(name, Product(child.weight.detach().t(), child.bias))
            elif isinstance(child, Conv1D):
                module.add_module(name, Product(child.weight.detach(), child.bias))


@contextmanager
def _attention(step: ModelStep) -> Iterator[None]:
    """Make the model use `KeyValueBuffers.attend` as its attention, through the interface of transformers or, in
    older models, `_attn`.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        **_: object,
    ) -> tuple[Tensor, None]:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return step.traced[0].attend(module.layer_idx, query, key, value, scale, sliding_window), None

    def attend_inside(module: Any) -> Any:
        def method(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, None]:
            scale = 1.0 / float(module.scale_attn)
            query, key = query.to(value.dtype), key.to(value.dtype)
            attended = step.traced[0].attend(module.layer_idx, query, key, value, scale, None)
            return attended.transpose(1, 2), None

        return method

    ALL_ATTENTION_FUNCTIONS[ATTENTION] = attend
    # No mask is needed: GroupQueryAttention is causal, and it gets the lengths.
    step.model.config._attn_implementation = ATTENTION
    for module in step.model.modules():
        if hasattr(module, "_attn"):
            module._attn = attend_inside(module)
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[ATTENTION]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's remarks about packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
