"""Every row of the table of GGUF's architectures against transformers: a small checkpoint written as llama.cpp's
converter writes it, converted by us, gives the checkpoint's logits.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from gguf import GGUFWriter

from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession
from onnx_export.convert import convert
from onnx_export.gguf.architectures import ARCHITECTURES
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
INTERLEAVED = ("llama", "granite")


def gguf_name(name: str) -> str:
    stem, _, part = name.rpartition(".")
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", stem)
    return f"blk.{layer[1]}.{NAMES[layer[2]]}.{part}" if layer else f"{NAMES[stem]}.{part}"


def neighbours(values: Any, heads: int) -> Any:
    """Rows whose halves are rotated against each other, in the order in which neighbours are."""
    split = values.reshape(heads, 2, len(values) // heads // 2, -1)
    return split.swapaxes(1, 2).reshape(values.shape)


def fields_of(config: Any) -> dict[str, Any]:
    """What llama.cpp's converter writes of a configuration; a value of None is left out."""
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
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
        "attention.layer_norm_epsilon": getattr(config, "norm_epsilon", None),
        "attention.sliding_window": getattr(config, "sliding_window", None),
        "attention.scale": getattr(config, "attention_multiplier", None),
        "embedding_scale": getattr(config, "embedding_multiplier", None),
        "residual_scale": getattr(config, "residual_multiplier", None),
        "logit_scale": getattr(config, "logits_scaling", None),
        "rope.freq_base": float((config.rope_parameters or {}).get("rope_theta", 10000.0)),
        "rope.dimension_count": size,
    }


def write_gguf(model: Any, architecture: str, path: Path) -> None:
    config = model.config
    writer = GGUFWriter(None, architecture)
    toy_tokenizer(writer)
    add_field(writer, "tokenizer.ggml.eos_token_id", 298)
    for name, value in fields_of(config).items():
        if value is not None:
            add_field(writer, f"{architecture}.{name}", value)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        if tied and name.startswith("lm_head"):
            continue
        if architecture == "gemma" and "norm" in name:
            values = values + 1
        if architecture in INTERLEAVED and (".q_proj." in name or ".k_proj." in name):
            values = neighbours(values, config.num_attention_heads if ".q_" in name else config.num_key_value_heads)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(values))
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_gives_the_logits_of_its_checkpoint(tmp_path: Path, name: str) -> None:
    assert name in EXAMPLES
    checkpoint = write_example(tmp_path / "checkpoint", name, [make_source(seed) for seed in range(8)])
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    write_gguf(model, name, tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "out")
    # Longer than the window of those that have one.
    ids = np.random.default_rng(0).integers(0, 256, 60).astype(np.int32)
    session = OrtSession.load(tmp_path / "out", load_manifest(tmp_path / "out"), device="cpu")
    found = session.forward(ids, 0, range(len(ids)))
    with torch.inference_mode():
        expected = model(torch.tensor([ids.tolist()])).logits[0].numpy()
    scale = np.linalg.norm(expected - expected.mean(axis=1, keepdims=True), axis=1)
    assert (np.linalg.norm(found - expected, axis=1) / scale).max() < 1e-4
