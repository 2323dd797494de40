"""LM Studio's models: ``PUBLISHER/MODEL/FILE.gguf`` below a folder in the user's home."""

import json
from pathlib import Path

from engine import reason_of
from lsp_server.models.entries import Findings, Found
from lsp_server.models.found.folders import files_below, problem_of, read_small
from lsp_server.models.found.gguf_files import is_gguf_name, model_name
from lsp_server.models.machine import Machine

_DEPTH = 3


def find(machine: Machine) -> Findings:
    """What LM Studio has fetched."""
    found: list[Found] = []
    notes: list[str] = []
    for root in roots(machine):
        try:
            for path in files_below(root, _DEPTH):
                if is_gguf_name(path.name):
                    problem = problem_of(path, root)
                    found.append(Found(model_name(path), path, "gguf", "lm-studio", root, problem=problem))
        except OSError as error:
            notes.append(f"LM Studio's models at {root} cannot be read ({reason_of(error)})")
    return Findings(tuple(found), tuple(notes))


def roots(machine: Machine) -> tuple[Path, ...]:
    """The folder of today, that of before, and the one that the user chose in its settings."""
    home = _text(machine.home / ".lmstudio-home-pointer", machine.home) or machine.home / ".lmstudio"
    chosen = _chosen(home)
    places = (home / "models", machine.user_cache / "lm-studio" / "models", *((chosen,) if chosen else ()))
    return tuple(dict.fromkeys(places))


def _text(path: Path, root: Path) -> Path | None:
    try:
        named = Path(read_small(path, root).decode("utf-8").strip())
    except ValueError:
        return None
    return named if named.is_absolute() else None


def _chosen(home: Path) -> Path | None:
    try:
        settings = json.loads(read_small(home / "settings.json", home))
    except (ValueError, RecursionError):
        return None
    named = settings.get("downloadsFolder") if isinstance(settings, dict) else None
    return Path(named) if isinstance(named, str) and Path(named).is_absolute() else None
