"""The GGUF architectures that can be converted: one table with one row for each.

A row says what the header does not: how positions are rotated, the activation, what some numbers mean. Everything else
(sizes, biases, norms of queries and keys, tied embeddings) is read from the file. A row is added once its graph agrees
with transformers on a checkpoint of the family: tests/onnx_export/test_gguf_architectures.py runs every row.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from onnx_export.graph_writer.decoder import Activation, Norm


class Sizes:
    """Numbers of a header under ``architecture.``. One that is missing or of another type is None or the default."""

    def __init__(self, architecture: str, fields: Mapping[str, Any]) -> None:
        self._prefix, self._fields = f"{architecture}.", fields

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number. Errors: ValueError if it is not finite, which no converter writes."""
        value = self._fields.get(self._prefix + name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return default
        if not math.isfinite(value):
            raise ValueError(f"{self._prefix}{name} is {value}")
        return value

    def text(self, name: str) -> str | None:
        """A string."""
        value = self._fields.get(self._prefix + name)
        return value if isinstance(value, str) else None

    def flag(self, name: str) -> bool:
        """Whether it is true; a missing one is not."""
        return self._fields.get(self._prefix + name) is True

    def needed(self, name: str) -> int:
        """A positive whole number. Errors: ValueError with what is wrong."""
        value = self.number(name)
        if value is None or value != int(value) or not 0 < value < 1 << 31:
            raise ValueError(f"{self._prefix}{name} is {self._fields.get(self._prefix + name)!r}")
        return int(value)

    @property
    def head_size(self) -> int:
        stated = self.number("attention.key_length")
        return int(stated) if stated else self.needed("embedding_length") // self.needed("attention.head_count")


def _all_layers(sizes: Sizes, layer: int) -> int | None:
    window = sizes.number("attention.sliding_window")
    return int(window) if window else None


def _no_layer(sizes: Sizes, layer: int) -> int | None:
    return None


def _every_other_layer(sizes: Sizes, layer: int) -> int | None:
    return None if layer % 2 else _all_layers(sizes, layer)


def _five_of_six_layers(sizes: Sizes, layer: int) -> int | None:
    return _all_layers(sizes, layer) if (layer + 1) % 6 else None


def _scale_of_gemma(layers_of_largest: int) -> Callable[[Sizes], float]:
    """The scale of attention in Gemma. Files do not give it. Only the largest model, recognised by its number of
    layers, uses the width divided by the heads.
    """

    def scale(sizes: Sizes) -> float:
        if sizes.needed("block_count") != layers_of_largest:
            return float(sizes.head_size**-0.5)
        return (sizes.needed("embedding_length") / sizes.needed("attention.head_count")) ** -0.5

    return scale


def _root_of_width(sizes: Sizes) -> float:
    return math.sqrt(sizes.needed("embedding_length"))


def _embedding_scale(sizes: Sizes) -> float:
    return sizes.number("embedding_scale", 1.0) or 1.0


def _stated_attention_scale(sizes: Sizes) -> float:
    return sizes.number("attention.scale", 0.0) or 0.0


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row. ``interleaved`` says that the rows of queries and keys are in the order that rotates neighbours; they
    are changed to the order of halves. ``local_base`` is the base of positions in layers with a window, if it differs.
    """

    name: str
    model_type: str
    architecture: str
    interleaved: bool = False
    norm: Norm = "rms"
    activation: Activation = "silu"
    window: Callable[[Sizes, int], int | None] = _no_layer
    attention_scale: Callable[[Sizes], float] = _stated_attention_scale
    embedding_scale: Callable[[Sizes], float] = _embedding_scale
    local_base: float | None = None
    tied: bool = False
    known_as: str = field(default="")


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        row.name: row
        for row in (
            Architecture(
                "llama",
                "llama",
                "LlamaForCausalLM",
                interleaved=True,
                known_as="Llama, Code Llama, DeepSeek-Coder, Yi-Coder, OpenCoder, Seed-Coder, Mellum, SmolLM2, Mistral",
            ),
            Architecture("qwen2", "qwen2", "Qwen2ForCausalLM", known_as="Qwen2, Qwen2.5-Coder"),
            Architecture("qwen3", "qwen3", "Qwen3ForCausalLM", known_as="Qwen3"),
            Architecture(
                "granite", "granite", "GraniteForCausalLM", interleaved=True, known_as="Granite 3 and 4, dense"
            ),
            Architecture(
                "gemma",
                "gemma",
                "GemmaForCausalLM",
                activation="gelu-tanh",
                embedding_scale=_root_of_width,
                known_as="Gemma, CodeGemma",
            ),
            Architecture(
                "gemma2",
                "gemma2",
                "Gemma2ForCausalLM",
                activation="gelu-tanh",
                embedding_scale=_root_of_width,
                window=_every_other_layer,
                attention_scale=_scale_of_gemma(46),
                known_as="Gemma 2",
            ),
            Architecture(
                "gemma3",
                "gemma3_text",
                "Gemma3ForCausalLM",
                activation="gelu-tanh",
                embedding_scale=_root_of_width,
                window=_five_of_six_layers,
                attention_scale=_scale_of_gemma(62),
                local_base=10000.0,
                known_as="Gemma 3, text only",
            ),
            Architecture("phi3", "phi3", "Phi3ForCausalLM", window=_all_layers, known_as="Phi-3, Phi-4-mini"),
            Architecture(
                "starcoder2",
                "starcoder2",
                "Starcoder2ForCausalLM",
                norm="layer",
                activation="gelu-tanh",
                window=_all_layers,
                known_as="StarCoder2",
            ),
            Architecture("stablelm", "stablelm", "StableLmForCausalLM", norm="layer", known_as="StableLM, StableCode"),
        )
    }
)
