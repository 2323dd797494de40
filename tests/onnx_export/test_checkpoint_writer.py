"""Checkpoints through our own writer, without torch, against transformers: families, and every scaling of positions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.errors import ExportError
from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession
from onnx_export.checkpoint import read_checkpoint
from onnx_export.checkpoint_decoder import KINDS, decoder_of
from onnx_export.export import export_checkpoint
from tests.onnx_export.families import write_example
from tests.onnx_export.source_text import make_source

TEXTS = [make_source(seed) for seed in range(8)]
ROPE = {"rope_theta": 1e4, "original_max_position_embeddings": 48}
SCALES: Mapping[str, Mapping[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "yarn, its own numbers": {
        **{"rope_type": "yarn", "factor": 6.0, "beta_fast": 16.0, "beta_slow": 2.0},
        "attention_factor": 0.9,
    },
    "yarn, two scales": {"rope_type": "yarn", "factor": 6.0, "mscale": 1.0, "mscale_all_dim": 0.7},
}


def largest_error(checkpoint: Path, out: Path, count: int = 60) -> float:
    """The largest relative error of the logits of an exported folder, over ``count`` random tokens."""
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    ids = np.random.default_rng(0).integers(0, 256, count).astype(np.int32)
    found = OrtSession.load(out, load_manifest(out), device="cpu").forward(ids, 0, range(count))
    with torch.inference_mode():
        expected = model(torch.tensor([ids.tolist()])).logits[0].numpy()
    scale = np.linalg.norm(expected - expected.mean(axis=1, keepdims=True), axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / scale).max())


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_family_gives_the_logits_of_its_checkpoint(tmp_path: Path, name: str) -> None:
    checkpoint = write_example(tmp_path / "checkpoint", name, TEXTS)
    export_checkpoint(checkpoint, tmp_path / "out", precision="fp32", check=False)
    assert largest_error(checkpoint, tmp_path / "out") < 1e-4


@pytest.mark.parametrize("scale", sorted(SCALES))
def test_stretched_positions(tmp_path: Path, scale: str) -> None:
    rope = {**ROPE, **SCALES[scale]}
    checkpoint = write_example(tmp_path / "checkpoint", "llama", TEXTS, rope_parameters=rope)
    export_checkpoint(checkpoint, tmp_path / "out", precision="fp32", check=False)
    assert largest_error(checkpoint, tmp_path / "out", 180) < 1e-4


def test_long_positions_hold_as_far_as_the_original_length(tmp_path: Path) -> None:
    rope = {
        **{"rope_type": "longrope", "rope_theta": 1e4},
        **{"short_factor": [1.0 + 0.1 * i for i in range(8)], "long_factor": [2.0 + i for i in range(8)]},
    }
    checkpoint = write_example(
        tmp_path / "checkpoint", "phi3", TEXTS, rope_parameters=rope, original_max_position_embeddings=64
    )
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision="fp32", check=False)
    assert manifest.context_length == 64
    assert largest_error(checkpoint, tmp_path / "out", 64) < 1e-4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hidden_act": "relu"}, "activation is 'relu'"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "change with the length"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 0.5}}, "at least 1"),
        ({"rope_parameters": {"rope_type": "linear", "factor": "x"}}, "factor is 'x'"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "short_factor"),
        ({"rope_parameters": {"rope_theta": float("nan")}}, "rope_theta is 'nan'"),
        ({"num_key_value_heads": 3}, "no kernel"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps is -1; it must be above 0"),
        ({"model_type": "granite", "logits_scaling": 0}, "logits_scaling is 0"),
        ({"model_type": "gemma2", "hidden_act": "gelu", "query_pre_attn_scalar": -4}, "query_pre_attn_scalar is -4"),
        ({"num_hidden_layers": 1.5}, "whole number"),
        ({"sliding_window": 8, "layer_types": ["chunked_attention"] * 2}, "layer_types"),
        ({"model_type": "phi"}, "need torch"),
    ],
)
def test_what_the_writer_does_not_know_is_refused(change: Mapping[str, Any], problem: str) -> None:
    config = {
        **{"model_type": "llama", "hidden_act": "silu", "hidden_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 192, **change},
    }
    with pytest.raises(ExportError, match=problem):
        decoder_of(config)


def test_torch_is_not_asked(tmp_path: Path) -> None:
    """In a process that cannot import torch and transformers."""
    import subprocess
    import sys

    checkpoint = write_example(tmp_path / "checkpoint", "qwen2", TEXTS)
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path; from onnx_export.export import export_checkpoint\n"
        f"export_checkpoint(Path({str(checkpoint)!r}), Path({str(tmp_path / 'out')!r}), precision='int8', notice=print)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not compared with the checkpoint" in done.stdout
    assert load_manifest(tmp_path / "out").precision == "int8"
    assert largest_error(checkpoint, tmp_path / "out") < 0.2


def test_a_tensor_that_is_not_known_is_another_model(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    checkpoint = write_example(tmp_path / "checkpoint", "llama", TEXTS)
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["model.layers.0.self_attn.sinks"] = np.zeros(4, np.float32)
    save_file(tensors, checkpoint / "model.safetensors")
    assert read_checkpoint(checkpoint).family.model_type == "llama"
    with pytest.raises(ExportError, match="sinks"):
        export_checkpoint(checkpoint, tmp_path / "out", precision="fp32", check=False)
