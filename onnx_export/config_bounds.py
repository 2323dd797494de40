"""Checks the numbers of a config.json before anything is built from them.

A checkpoint may come from anybody, and transformers trusts its configuration: it would build ten million layers one by
one. So sizes must be whole numbers within bounds, and the number of layers must be that of the weights.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import ExportError
from engine.model_folder.manifest import MOST_CONTEXT, MOST_HEAD_SIZE, MOST_HEADS, MOST_LAYERS, MOST_ROWS

MOST_WIDTH = 1 << 18
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
BOUNDS: Mapping[str, int] = {
    **dict.fromkeys(LAYERS, MOST_LAYERS),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "n_head", "n_heads"), MOST_HEADS),
    **dict.fromkeys(("hidden_size", "intermediate_size", "n_embd", "n_inner", "ffn_dim", "embed_dim"), MOST_WIDTH),
    **dict.fromkeys(("head_dim", "head_size", "rotary_dim"), MOST_HEAD_SIZE),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "sliding_window"), MOST_CONTEXT),
    "vocab_size": MOST_ROWS,
}
"""The largest value of each size; null means the same as leaving it out."""
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,9})\.")


def check_sizes(config: Mapping[str, Any]) -> None:
    """Errors: ExportError for a size that is not a whole number, or not within bounds."""
    for name, most in BOUNDS.items():
        value = config.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 < value <= most:
            shown = repr(value)[:40]
            raise ExportError(f"config.json says {name} is {shown}; it must be a whole number from 1 to {most}")
    for name in ("rope_parameters", "rope_scaling"):
        if not isinstance(config.get(name), dict | None):
            raise ExportError(f"config.json says {name} is {repr(config[name])[:40]}; it must be an object")


def check_layers(config: Mapping[str, Any], tensors: Iterable[str]) -> None:
    """Errors: ExportError unless there are weights for as many layers as the configuration says."""
    stated = next((config[name] for name in LAYERS if config.get(name) is not None), None)
    numbers = {int(match[1]) for name in tensors if (match := _LAYER.search(name))}
    if stated is not None and numbers and numbers != set(range(stated)):
        raise ExportError(
            f"config.json says there are {stated} layers, and the weights have {len(numbers)}, up to number"
            f" {max(numbers)}; copy the checkpoint again"
        )
