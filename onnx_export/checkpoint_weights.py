"""A checkpoint's safetensors as the weights for our own writer: by GGUF's names, some rows at a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import ExportError
from onnx_export.checkpoint_decoder import KINDS, decoder_of
from onnx_export.graph_writer.decoder import Decoder
from onnx_export.graph_writer.tensors import expected_tensors
from onnx_export.graph_writer.weights import Floats, Matrix
from onnx_export.weights import TensorPlace, read_rows

_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_PARTS: Mapping[str, str] = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_FOUR_NORMS: Mapping[str, str] = {
    **_PARTS,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
"""Families that also have a norm after each block."""
_LAYER = re.compile(r"model\.layers\.(\d{1,4})\.(.+)")
_DERIVED = re.compile(r".*rotary_emb\.inv_freq$")
"""Tensors that follow from the configuration; old checkpoints hold them."""


@dataclass(frozen=True, slots=True)
class CheckpointWeights:
    """Implements `onnx_export.graph_writer.weights.Weights`. ``above_one`` says that norms are stored minus one."""

    places: Mapping[str, TensorPlace]
    above_one: bool

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None if there is no such tensor."""
        place = self.places.get(name)
        return None if place is None else place.shape

    def matrix(self, name: str) -> Matrix:
        """A tensor of two axes, as floats. Errors: ExportError for a type that is not floating point."""
        place = self.places[name]
        rows, columns = place.shape
        return Matrix(rows, columns, None, lambda start, stop: read_rows(place, start, stop))

    def vector(self, name: str) -> Floats:
        """A tensor of one axis."""
        place = self.places[name]
        values = read_rows(TensorPlace(place.path, place.name, (1, *place.shape), place.dtype, place.start))[0]
        return values + np.float32(1) if self.above_one and "norm" in name else values


def written_parts(
    config: Mapping[str, Any], places: Mapping[str, TensorPlace], *, tied: bool
) -> tuple[Decoder, CheckpointWeights]:
    """The decoder and the weights of a checkpoint, checked against each other. Errors: ExportError, in one line, for an
    unknown family or tensor, and for a tensor that is missing or has a wrong shape.
    """
    decoder = decoder_of(config)
    parts = _FOUR_NORMS if any(name.endswith("pre_feedforward_layernorm.weight") for name in places) else _PARTS
    named: dict[str, TensorPlace] = {}
    for name, place in places.items():
        if _DERIVED.match(name) or (tied and name == "lm_head.weight"):
            continue
        known = _name(name, parts)
        if known is None or known in named:
            raise ExportError(f"the weights hold {name[:80]!r}, with which this is another model than is known")
        named[known] = place
    _check(decoder, named)
    return decoder, CheckpointWeights(named, KINDS[str(config["model_type"])].above_one)


def _name(name: str, parts: Mapping[str, str]) -> str | None:
    stem, _, kind = name.rpartition(".")
    layer = _LAYER.fullmatch(stem)
    known = parts.get(layer[2]) if layer else _OUTER.get(stem)
    if known is None or kind not in ("weight", "bias"):
        return None
    return f"blk.{layer[1]}.{known}.{kind}" if layer else f"{known}.{kind}"


def _check(decoder: Decoder, places: Mapping[str, TensorPlace]) -> None:
    expected = expected_tensors(decoder, {name: place.shape for name, place in places.items()})
    for name, shapes in expected.items():
        place = places.get(name)
        if place is None:
            if None not in shapes:
                raise ExportError(f"the weights lack a tensor ({name}); copy the checkpoint again")
        elif place.shape not in shapes:
            raise ExportError(f"{place.name[:80]!r} has the shape {place.shape}, which config.json does not give it")
    unknown = sorted(places.keys() - expected.keys())
    if unknown:
        raise ExportError(f"the weights hold {places[unknown[0]].name[:80]!r}, which no model of this type has")
