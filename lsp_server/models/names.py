"""Names of models, and what counts as a path. Kept light: every command imports it."""

import re
from pathlib import Path

from engine import RequestError

BUNDLED = "bundled"
SMALL = "small"
"""The model of 9 M parameters that comes with Midtoken, also when a larger one is the bundled default."""
GGUF_ENDING = ".gguf"
_NAME = re.compile(r"[^\W_][\w.:/+@ -]{0,199}")


def is_name(text: str) -> bool:
    """Whether a model can be called so."""
    return _NAME.fullmatch(text) is not None and text == text.strip()


def check_new_name(name: str) -> None:
    """Raises `RequestError` for a name that no added model can have."""
    if name.lower() in (BUNDLED, SMALL):
        raise RequestError(f"{name!r} is a name of the model that comes with Midtoken; choose another")
    if not is_name(name):
        raise RequestError(f"{name[:80]!r} is no name for a model; use letters, digits and . _ : / + @ -")


def looks_like_path(text: str) -> bool:
    """Whether a text can only be meant as a path: ``./model``, ``~/model``, ``C:\\model``, ``/model``, ``x.gguf``."""
    return (
        text.startswith((".", "~", "/", "\\"))
        or "\\" in text
        or Path(text).is_absolute()
        or text.lower().endswith((GGUF_ENDING, ".onnx"))
    )


def name_or_path(text: str) -> str | Path:
    """What a user means on the command line: a path where it can be nothing else, or where a folder is; else a name.

    >>> name_or_path("qwen2.5-coder:0.5b")
    'qwen2.5-coder:0.5b'
    """
    return Path(text) if looks_like_path(text) or Path(text).is_dir() else text
