"""Every row of the table of GGUF's architectures against transformers: a small checkpoint written as llama.cpp's
converter writes it, converted by us, gives the checkpoint's logits.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from gguf import GGUFWriter

from engine.errors import ExportError
from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession
from onnx_export.convert import convert
from onnx_export.gguf.architectures import ARCHITECTURES
from onnx_export.graph_writer.rounding import Rounding
from tests.onnx_export.families import EXAMPLES, write_example
from tests.onnx_export.gguf.files import add_field, toy_tokenizer
from tests.onnx_export.source_text import make_source

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
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
FOUR_NORMS = {
    **NAMES,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
INTERLEAVED = ("llama", "granite")


def gguf_name(name: str, names: Mapping[str, str]) -> str:
    stem, _, part = name.rpartition(".")
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", stem)
    return f"blk.{layer[1]}.{names[layer[2]]}.{part}" if layer else f"{names[stem]}.{part}"


def neighbours(values: Any, heads: int) -> Any:
    """Rows in the order of neighbours: rotary pairs that are halves apart become adjacent."""
    split = values.reshape(heads, 2, len(values) // heads // 2, -1)
    return split.swapaxes(1, 2).reshape(values.shape)


def fields_of(config: Any) -> dict[str, Any]:
    """The fields that llama.cpp's converter writes for a configuration. A value of None is left out."""
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    rope = config.rope_parameters or {}
    rope = rope.get("full_attention", rope)
    kind = {"llama3": None, "default": None}.get(rope.get("rope_type", "default"), rope.get("rope_type"))
    return {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": size,
        "attention.value_length": size,
        "attention.layer_norm_rms_epsilon": getattr(config, "rms_norm_eps", None),
        "attention.layer_norm_epsilon": getattr(config, "norm_epsilon", getattr(config, "layer_norm_eps", None)),
        "attention.sliding_window": getattr(config, "sliding_window", None),
        "attention.scale": getattr(config, "attention_multiplier", None),
        "embedding_scale": getattr(config, "embedding_multiplier", None),
        "residual_scale": getattr(config, "residual_multiplier", None),
        "logit_scale": getattr(config, "logits_scaling", None),
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
        "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
        "rope.scaling.type": kind,
        "rope.scaling.factor": rope.get("factor") if kind else None,
        "rope.scaling.original_context_length": rope.get("original_max_position_embeddings") if kind else None,
        "rope.freq_base": float(rope.get("rope_theta", 10000.0)),
        "rope.dimension_count": int(size * rope.get("partial_rotary_factor", 1.0)),
        "use_parallel_residual": getattr(config, "use_parallel_residual", None),
    }


def write_gguf(
    model: Any, architecture: str, path: Path, fields: Mapping[str, Any] | None = None, **tensors: Any
) -> None:
    """Write a file; ``fields`` and ``tensors`` are added to the usual ones."""
    config = model.config
    writer = GGUFWriter(None, architecture)
    toy_tokenizer(writer)
    add_field(writer, "tokenizer.ggml.eos_token_id", 298)
    for name, value in {**fields_of(config), **(fields or {})}.items():
        if value is not None:
            add_field(writer, f"{architecture}.{name}", value)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", np.asarray(values, np.float32))
    names = FOUR_NORMS if any("pre_feedforward" in name for name in model.state_dict()) else NAMES
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        if "layernorm.norms." in name:
            continue
        if tied and name.startswith("lm_head"):
            continue
        if architecture.startswith("gemma") and "norm" in name:
            values = values + 1
        if architecture in INTERLEAVED and (".q_proj." in name or ".k_proj." in name):
            values = neighbours(values, config.num_attention_heads if ".q_" in name else config.num_key_value_heads)
        writer.add_tensor(gguf_name(name, names), np.ascontiguousarray(values))
    for name, values in head_norms(model).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def head_norms(model: Any) -> dict[str, Any]:
    """StableLM's norms of single heads, joined as llama.cpp's converter joins them: ``[heads, head size]``."""
    found: dict[str, list[Any]] = {}
    for name, tensor in model.state_dict().items():
        if match := re.fullmatch(r"model\.layers\.(\d+)\.self_attn\.([qk])_layernorm\.norms\.\d+\.weight", name):
            found.setdefault(f"blk.{match[1]}.attn_{match[2]}_norm.weight", []).append(tensor.float().numpy())
    return {name: np.stack(rows) for name, rows in found.items()}


def error_of(model: Any, folder: Path, count: int) -> float:
    """The largest relative error of the logits of a converted folder over ``count`` random tokens."""
    ids = np.random.default_rng(0).integers(0, 256, count).astype(np.int32)
    session = OrtSession.load(folder, load_manifest(folder), device="cpu")
    found = session.forward(ids, 0, range(len(ids)))
    with torch.inference_mode():
        expected = model(torch.tensor([ids.tolist()])).logits[0].numpy()
    scale = np.linalg.norm(expected - expected.mean(axis=1, keepdims=True), axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / scale).max())


def example(folder: Path, name: str, **changes: Any) -> Any:
    checkpoint = write_example(folder / "checkpoint", name, [make_source(seed) for seed in range(8)], **changes)
    return transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_gives_the_logits_of_its_checkpoint(tmp_path: Path, name: str) -> None:
    assert ARCHITECTURES[name].model_type in EXAMPLES
    # The last of six layers has full attention in Gemma 3.
    layers = {"num_hidden_layers": 6, "layer_types": None} if name == "gemma3" else {}
    changes = {"query_pre_attn_scalar": 32} if name in ("gemma2", "gemma3") else {}
    model = example(tmp_path, ARCHITECTURES[name].model_type, **changes, **layers)
    write_gguf(model, name, tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "out")
    # Longer than the window of the models that have one.
    assert error_of(model, tmp_path / "out", 60) < 1e-4


@pytest.mark.parametrize("precision", ["keep", "int4"])
def test_a_norm_for_each_head_and_parallel_residuals(tmp_path: Path, precision: Rounding) -> None:
    """As StableLM 12B has them."""
    model = example(tmp_path, "stablelm", qk_layernorm=True, use_parallel_residual=True)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "layernorm.norms." in name:
                tensor.copy_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    write_gguf(model, "stablelm", tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "out", precision=precision)
    assert error_of(model, tmp_path / "out", 60) < (1e-4 if precision == "keep" else 0.5)


def test_a_norm_is_missing_only_where_the_file_says_so(tmp_path: Path) -> None:
    model = example(tmp_path, "stablelm", use_parallel_residual=True)
    write_gguf(model, "stablelm", tmp_path / "m.gguf", {"use_parallel_residual": False})
    with pytest.raises(ExportError, match=r"no tensor 'blk.0.ffn_norm.weight'; fetch the file again"):
        convert(tmp_path / "m.gguf", tmp_path / "out")


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_stretched_positions_by_the_fields(tmp_path: Path, kind: str) -> None:
    rope = {"rope_type": kind, "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 48}
    model = example(tmp_path, "qwen2", rope_parameters=rope)
    write_gguf(model, "qwen2", tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "out")
    assert error_of(model, tmp_path / "out", 180) < 1e-4


def test_positions_of_llama_3_by_their_tensor(tmp_path: Path) -> None:
    rope = {
        **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        **{"rope_theta": 1e4, "original_max_position_embeddings": 48},
    }
    model = example(tmp_path, "llama", rope_parameters=rope)
    frequencies = model.model.rotary_emb.inv_freq.numpy()
    plain = 1e4 ** -(np.arange(len(frequencies)) / len(frequencies))
    write_gguf(model, "llama", tmp_path / "m.gguf", rope_freqs=plain / frequencies)
    convert(tmp_path / "m.gguf", tmp_path / "out")
    assert error_of(model, tmp_path / "out", 180) < 1e-4


def test_long_positions_hold_as_far_as_the_original_length(tmp_path: Path) -> None:
    short, long = ([first + 0.1 * i for i in range(8)] for first in (1.0, 3.0))
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": short, "long_factor": long}
    model = example(tmp_path, "phi3", rope_parameters=rope, original_max_position_embeddings=64)
    fields = {
        "rope.scaling.type": "longrope",
        "rope.scaling.original_context_length": 64,
        "rope.scaling.attn_factor": (1 + math.log(192 / 64) / math.log(64)) ** 0.5,
    }
    write_gguf(model, "phi3", tmp_path / "m.gguf", fields, rope_factors_short=short, rope_factors_long=long)
    manifest = convert(tmp_path / "m.gguf", tmp_path / "out")
    assert manifest.context_length == 64
    assert error_of(model, tmp_path / "out", 64) < 1e-4
