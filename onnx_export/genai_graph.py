"""Graphs by onnxruntime-genai's model builder, which knows most families and writes fused attention and int4."""

import errno
import os
import subprocess
import sys
from pathlib import Path

from engine.errors import ExportError
from onnx_export.quantize import BLOCK_SIZE, HEAD_BITS, Plan

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def build(checkpoint: Path, chosen: Plan, built: Path, *, tied: bool) -> None:
    """Write ``built / "model.onnx"`` with its data file. Errors: ExportError with the builder's last line,
    OSError where there was no room for what it wrote.

    It is run as a program of its own: it changes import paths, prints, and leaves files behind.
    """
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(checkpoint.resolve())]
    command += ["-o", str(built.resolve()), "-p", chosen.precision, "-e", chosen.device]
    command += ["-c", str(built.with_name("cache").resolve())]
    command += ["--extra_options", "hf_remote=false", "hf_token=false", *_options(chosen, tied=tied)]
    done = subprocess.run(command, env={**os.environ, **_OFFLINE}, capture_output=True, text=True, check=False)
    if done.returncode == 0 and (built / "model.onnx").exists():
        return
    reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if "No module named" in reason:
        raise ExportError(
            f"the model builder cannot start ({reason}); install onnxruntime-genai (with --no-deps) and onnx-ir"
        )
    for number in _NO_ROOM:
        if os.strerror(number) in done.stderr:
            raise OSError(number, os.strerror(number))
    raise ExportError(
        f"the model builder failed on {checkpoint} ({reason[:200]}); see docs/models.md for what it takes"
    )


def _options(chosen: Plan, *, tied: bool) -> list[str]:
    # A quantised head is shared with the embedding afterwards (surgery.py): the builder would keep both.
    shared = tied and chosen.layer_bits is None
    # Norms of queries and keys (Qwen3) beside the attention and not in it, where only CUDA has a kernel: so the model
    # falls back to the CPU like any other, and its checks run without a GPU.
    options = [f"shared_embeddings={str(shared).lower()}", "fuse_qk_norm_gqa=false"]
    if chosen.layer_bits is not None:
        options.append(f"block_size={BLOCK_SIZE}")
    if chosen.layer_bits == 4:
        options += ["algo_config=rtn", f"matmul_mixed_precision=last_matmul:int{HEAD_BITS}"]
    return options
