"""The checkpoint's own model in torch: what a graph is traced from, and what a finished one is compared with."""

from pathlib import Path
from typing import Any, Literal

from engine.errors import ExportError


def load_model(folder: Path, dtype: Literal["float32", "float16"]) -> Any:
    """The model of a checkpoint folder, ready for inference. Only safetensors are read, no code of the folder is run.

    Errors: ExportError where torch or transformers is missing, or the weights cannot be read.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise ExportError(f"the package {error.name} is missing; install Midtoken with its 'export' extra") from None
    disable_progress_bar()  # of the loading of weights; an export has its own
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
        ).eval()
    except Exception as error:  # safetensors and transformers raise types of their own
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"the weights in {folder} cannot be read ({line[:200]}); copy them again") from None
