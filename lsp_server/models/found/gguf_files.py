"""GGUF files by name: which are models of their own, and what to call them."""

import re
from pathlib import Path

from lsp_server.models.names import GGUF_ENDING

_PART = re.compile(r"-(\d{5})-of-(\d{5})$")


def is_gguf_name(name: str) -> bool:
    """Whether a file is GGUF by its name; of a model in parts, the first only."""
    if not name.lower().endswith(GGUF_ENDING) or name.startswith("."):
        return False
    part = _PART.search(name[: -len(GGUF_ENDING)])
    return part is None or int(part[1]) == 1


def model_name(path: Path) -> str:
    """The file's name without its ending and the number of its part."""
    return _PART.sub("", path.name[: -len(GGUF_ENDING)] if path.name.lower().endswith(GGUF_ENDING) else path.name)
