"""llama.cpp's own cache: GGUF files in one folder until March 2026, in the layout of the Hugging Face cache since."""

from pathlib import Path

from engine import reason_of
from lsp_server.models.entries import Findings, Found
from lsp_server.models.found.folders import names_in, problem_of
from lsp_server.models.found.gguf_files import is_gguf_name, model_name
from lsp_server.models.machine import Machine


def find(machine: Machine) -> Findings:
    """The files of the old cache. The new one is the hub's, see `hugging_face`."""
    root = flat_root(machine)
    try:
        names = [name for name in names_in(root) if is_gguf_name(name)]
    except OSError as error:
        return Findings(notes=(f"llama.cpp's cache at {root} cannot be read ({reason_of(error)})",))
    paths = [root / name for name in names]
    return Findings(
        tuple(
            Found(model_name(path), path, "gguf", "llama.cpp", root, problem=problem_of(path, root)) for path in paths
        )
    )


def flat_root(machine: Machine) -> Path:
    """``LLAMA_CACHE``, else a folder in the user's cache."""
    if chosen := machine.folder("LLAMA_CACHE"):
        return chosen
    if machine.platform == "darwin":
        return machine.home / "Library" / "Caches" / "llama.cpp"
    if machine.platform == "win32":
        return (machine.folder("LOCALAPPDATA") or machine.home / "AppData" / "Local") / "llama.cpp"
    return machine.user_cache / "llama.cpp"
