"""Sizes of a model. Every family's configuration names them differently."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ExportError, reason_of


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers, key/value heads, size of a head, and the most positions that prompt and completion have together."""

    layers: int
    key_value_heads: int
    head_size: int
    context_length: int


def read_shape(folder: Path) -> Shape:
    """The shape of a checkpoint. Errors: ExportError if transformers cannot read its configuration."""
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise ExportError(f"the package {error.name} is missing; install Midtoken with its 'export' extra") from None
    try:
        return shape_of(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    except Exception as error:  # transformers raises its own types
        raise ExportError(f"{folder / 'config.json'} describes no model ({reason_of(error)}); copy it again") from error


def shape_of(config: Any) -> Shape:
    """The shape that a configuration of transformers states, by its standard names."""
    heads = int(config.num_attention_heads)
    groups = 1 if getattr(config, "multi_query", False) else getattr(config, "num_key_value_heads", None)
    size = getattr(config, "head_dim", None) or int(config.hidden_size) // heads
    return Shape(
        layers=int(config.num_hidden_layers),
        key_value_heads=int(groups or heads),
        head_size=int(size),
        context_length=int(config.max_position_embeddings),
    )
