"""The families of checkpoints that can be exported: one table with one row for each family.

A row is added once the checks of `validate.py` pass on a checkpoint of the family: test_families.py runs every row. No
other module in this package depends on a model's type.
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
    """One supported family: ``model_type`` as in config.json, the class that config.json must name with it, and its
    graph builder.

    ``builder`` makes graphs for CUDA: ``genai`` is onnxruntime-genai's model builder, ``torch`` is `torch_graph.py`;
    None means that there is none. For the CPU, our own writer makes the graph if it knows the family
    (`onnx_export.checkpoint_decoder`), and needs no torch; otherwise ``torch`` does. All make graphs of the same form.
    ``known_as`` lists well-known models of this type.
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
            Family("stablelm", "StableLmForCausalLM", None, "StableLM, StableCode"),
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
    """Which builder makes the graph of a decoded config.json: for the CPU our writer if it knows the family; otherwise
    the family's builder, or torch if the model builder is wrong.

    The graphs of its version 0.18 ignore sliding windows, and differ from the checkpoint if rotary positions are
    scaled.

    Errors: ExportError if there is no builder, or if the scale of positions depends on the length of the text, which a
    fixed graph cannot have.
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
