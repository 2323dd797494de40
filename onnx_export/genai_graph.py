"""Graphs by onnxruntime-genai's model builder, which knows most families and writes fused attention and int4."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.errors import ExportError
from engine.runtime.ort import TELEMETRY_OFF
from onnx_export.quantize import BLOCK_SIZE, HEAD_BITS, Plan

_OFFLINE = {
    TELEMETRY_OFF: "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore",
    "PYTHONSAFEPATH": "1",  # nothing is imported from the current folder
}

_NEEDED = ("config.json", "generation_config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def build(checkpoint: Path, chosen: Plan, built: Path, *, tied: bool) -> None:
    """Write ``built / "model.onnx"`` with its data file.

    The builder runs as a program of its own, because it changes import paths, prints, and leaves files behind. It gets
    only the files that a graph needs, because it would fail at a tokenizer that needs code of its own.

    Errors: ExportError with the builder's last line, OSError if there is no room for the files.
    """
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
        shown, cache = Path(scratch, "shown"), Path(scratch, "cache")
        shown.mkdir()
        for pattern in _NEEDED:
            for file in checkpoint.glob(pattern):
                _link(file.resolve(), shown / file.name)
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(shown.resolve())]
        command += ["-o", str(built.resolve()), "-p", chosen.precision, "-e", chosen.device]
        command += ["-c", str(cache.resolve())]
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


def _link(file: Path, place: Path) -> None:
    try:
        place.symlink_to(file)
    except OSError:  # Windows allows links to some users only
        shutil.copyfile(file, place)


def _options(chosen: Plan, *, tied: bool) -> list[str]:
    # A quantised head is shared with the embedding afterwards (surgery.py): the builder would keep both.
    shared = tied and chosen.layer_bits is None
    # Norms of queries and keys (Qwen3) are put outside of the attention operator, because inside it only CUDA has a
    # kernel. So the model can run on the CPU like any other, and its checks need no GPU.
    options = [f"shared_embeddings={str(shared).lower()}", "fuse_qk_norm_gqa=false"]
    if chosen.layer_bits is not None:
        options.append(f"block_size={BLOCK_SIZE}")
    if chosen.layer_bits == 4:
        options += ["algo_config=rtn", f"matmul_mixed_precision=last_matmul:int{HEAD_BITS}"]
    return options
