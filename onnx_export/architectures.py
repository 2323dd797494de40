"""The families of checkpoints that can be exported: one table, one row a family.

A row is added once the checks of `validate.py` pass on a checkpoint of the family: test_families.py runs every row.
Nothing else in this package asks for a model's type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from engine.errors import ExportError
from onnx_export.checkpoint_decoder import KINDS

Builder = Literal["writer", "genai", "torch"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Family:
    """One supported family: ``model_type`` as in config.json, the class that must stand beside it, its graph builder.

    ``builder`` is that of graphs for CUDA: ``genai`` is onnxruntime-genai's model builder, ``torch`` is
    `torch_graph.py`; None: there is none. For the CPU our own writer makes the graph where it knows the family
    (`onnx_export.checkpoint_decoder`), and needs no torch; else ``torch`` does. All make graphs of the same form.
    ``known_as`` are models of this type that people ask for by name.
    """

    model_type: str
    architecture: str
    builder: Builder | None
    known_as: str


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.model_type: family
        for family in (
            Family(
                "llama",
                "LlamaForCausalLM",
                "genai",
                "Llama, Code Llama, DeepSeek-Coder, Yi-Coder, OpenCoder, Seed-Coder, SmolLM",
            ),
            Family("qwen2", "Qwen2ForCausalLM", "genai", "Qwen2, Qwen2.5-Coder"),
            Family("qwen3", "Qwen3ForCausalLM", "genai", "Qwen3"),
            Family("mistral", "MistralForCausalLM", "genai", "Mistral, Codestral"),
            Family("granite", "GraniteForCausalLM", "genai", "Granite"),
            Family("gemma", "GemmaForCausalLM", "genai", "Gemma, CodeGemma"),
            Family("gemma2", "Gemma2ForCausalLM", None, "Gemma 2"),
            Family("gemma3_text", "Gemma3ForCausalLM", None, "Gemma 3, text only"),
            Family("phi", "PhiForCausalLM", "torch", "Phi-1, Phi-1.5, Phi-2"),
            Family("phi3", "Phi3ForCausalLM", "genai", "Phi-3 with a context of 4k"),
            Family("starcoder2", "Starcoder2ForCausalLM", "torch", "StarCoder2"),
            Family("gpt_bigcode", "GPTBigCodeForCausalLM", "torch", "SantaCoder, StarCoder"),
            Family("gpt2", "GPT2LMHeadModel", "torch", "GPT-2"),
            Family("codegen", "CodeGenForCausalLM", "torch", "CodeGen"),
        )
    }
)


def family_of(config: Mapping[str, object]) -> Family:
    """The row for a decoded config.json. Errors: ExportError if the family is not in the table."""
    known = ", ".join(sorted(FAMILIES))
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        raise ExportError(
            f"models of type {config.get('model_type')!r} cannot be exported; the supported types are: {known}"
        )
    classes = config.get("architectures")
    if not isinstance(classes, Sequence) or family.architecture not in classes:
        raise ExportError(
            f"config.json names the class {classes!r}, not {family.architecture}; only causal language models of "
            f"these types can be exported: {known}"
        )
    return family


def builder_of(family: Family, config: Mapping[str, object], device: Device = "cpu") -> Builder:
    """Which builder makes the graph of a decoded config.json: the writer for the CPU where it knows the family; else
    the family's, or torch where the model builder is wrong.

    Of version 0.18, its graphs ignore a sliding window and differ from the checkpoint with scaled rotary positions.
    Errors: ExportError if there is none, and for positions whose scale depends on the length of the text, which no
    fixed graph has.
    """
    if device == "cpu" and family.model_type in KINDS:
        return "writer"
    if family.builder is None:
        raise ExportError(f"models of type {family.model_type!r} are exported for the CPU only")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = str(rope.get("rope_type") or rope.get("type") or "default") if isinstance(rope, Mapping) else "default"
    if kind in ("dynamic", "longrope", "su"):
        raise ExportError(
            f"rotary positions of type {kind!r} change with the length of the text; no graph can hold them"
        )
    window = config.get("sliding_window") is not None and config.get("use_sliding_window") is not False
    return "torch" if window or kind != "default" else family.builder
