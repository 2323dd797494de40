"""The model: a Llama with grouped-query attention and tied embeddings, in a few sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from onnx_export.train.tokenizer import ControlIds

CONTEXT_LENGTH = 1_024


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one model; `head_size` times `heads` is the width of the attention."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    intermediate_size: int
    head_size: int


# Widths are multiples of 32, the block of int4 quantisation. Heads are 64 wide, which is fastest in fused attention.
SIZES: Mapping[str, Shape] = MappingProxyType(
    {
        "tiny": Shape(64, layers=2, heads=2, kv_heads=1, intermediate_size=128, head_size=32),
        "mini": Shape(128, layers=4, heads=2, kv_heads=1, intermediate_size=384, head_size=64),
        "small": Shape(256, layers=6, heads=4, kv_heads=2, intermediate_size=768, head_size=64),
        "base": Shape(384, layers=8, heads=6, kv_heads=2, intermediate_size=1_024, head_size=64),
        "large": Shape(512, layers=12, heads=8, kv_heads=2, intermediate_size=1_408, head_size=64),
    }
)


def build_model(size: str, vocabulary_size: int, ids: ControlIds, seed: int) -> Any:
    """A randomly initialised LlamaForCausalLM in float32; the same seed gives the same weights."""
    shape = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=ids.end_of_text,
        eos_token_id=ids.end_of_text,
        pad_token_id=ids.end_of_text,
        rms_norm_eps=1e-5,
        attention_bias=False,
        mlp_bias=False,
        use_cache=False,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).float()
    for name, parameter in model.named_parameters():
        # Layers that start as the identity train faster and more evenly.
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.zeros_(parameter)
    return model
