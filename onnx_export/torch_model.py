"""The checkpoint's own model in torch. Graphs are traced from it, and finished graphs are compared with it."""

from pathlib import Path
from typing import Any, Literal

from engine.errors import ExportError, reason_of


def load_model(folder: Path, dtype: Literal["float32", "float16"]) -> Any:
    """The model of a checkpoint folder, ready for inference. Only safetensors are read, no code of the folder is run.

    Errors: ExportError if torch or transformers is missing, or the weights cannot be read or are not
    all there.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar, set_verbosity_error
    except ImportError as error:
        raise ExportError(f"the package {error.name} is missing; install Midtoken with its 'export' extra") from None
    disable_progress_bar()  # it reports the loading of weights; an export has its own progress
    set_verbosity_error()  # its important remarks become errors below
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
    except Exception as error:  # safetensors and transformers raise types of their own
        raise ExportError(f"the weights in {folder} cannot be read ({reason_of(error)}); copy them again") from error
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ExportError(f"the weights in {folder} lack {missing[0]}{more}; copy them again")
    return model.eval()
