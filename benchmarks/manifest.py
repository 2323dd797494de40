"""The manifest of published figures: ``docs/measurements/figures.toml``, and the sums of what figures rest on.

Three kinds of tables:

``[inputs.NAME]``
    A file or folder that nobody's command writes: ``what`` says what it is and where it comes from, ``sum`` is its
    SHA-256 (`sum_of`). A repository has a ``commit`` instead. ``path`` is set if it lies in this repository. ``lost``
    says why there is no sum, for figures of which the input of that day was not kept.
``[[figure]]``
    One row: figures that were printed together, by ``commands``. ``seed`` is what draws were seeded with, or says that
    nothing is drawn. ``made`` has the SHA-256 of files that the commands write before anything is measured, such as
    cases. ``code`` is the commit whose code was measured, for models that later code may
    complete otherwise with. ``note`` says in what a new run differs, if it does.
``[[without]]``
    A section of a page that no command prints, and ``why``.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import DocumentError

ROOT = Path(__file__).parents[1]
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "python": (sys.executable,),
    "midtoken": (sys.executable, "-m", "lsp_server"),
    "make": ("make",),
}
PLACE = re.compile(r"\{(\w+)\}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """A file or folder that a row needs. One of ``sum``, ``commit`` and ``lost`` is set."""

    name: str
    what: str
    sum: str = ""
    commit: str = ""
    path: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: figures that were printed together. ``made`` holds SHA-256 sums by name."""

    name: str
    page: str
    section: str
    date: str
    machine: str
    seed: int | str
    commands: tuple[tuple[str, ...], ...]
    made: Mapping[str, str]
    code: str = ""
    note: str = ""

    def names(self) -> list[str]:
        """The files and folders in the commands, in their order."""
        found = [name for command in self.commands for part in command for name in PLACE.findall(part)]
        return list(dict.fromkeys(found))

    def commands_with(self, given: Mapping[str, Path], made: Path) -> list[list[str]]:
        """The commands with paths in place of names. Files that are not given are in the folder ``made``."""

        def path(match: re.Match[str]) -> str:
            return str(given.get(match[1], made / match[1]))

        return [[PLACE.sub(path, part) for part in command] for command in self.commands]


@dataclass(frozen=True, slots=True)
class Without:
    """A section without a row, and why."""

    page: str
    section: str
    why: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of it."""

    inputs: Mapping[str, Input]
    figures: tuple[Figure, ...]
    without: tuple[Without, ...]

    def inputs_of(self, row: Figure) -> list[Input]:
        """What a row needs that no command of it writes."""
        return [self.inputs[name] for name in row.names() if name in self.inputs]


def read(path: Path) -> Manifest:
    """Read a manifest. Raises `DocumentError` if it is not one, OSError if it cannot be read."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        inputs = {name: Input(name, **table) for name, table in tables.get("inputs", {}).items()}
        without = tuple(Without(**table) for table in tables.get("without", ()))
        return Manifest(inputs, tuple(map(_figure, tables["figure"])), without)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DocumentError(f"{path.name} is no manifest of figures ({error})") from error


def sum_of(path: Path) -> str:
    """The SHA-256 of a file; of a model folder that of its ``midtoken.json``, which holds the sums of its files; of any
    other folder that of a list with a line ``SHA-256  path`` for each file, sorted by path. What Python caches or a
    leading dot hides does not count. Raises OSError.
    """
    if not path.is_dir():
        return _sum_of_file(path)
    if (path / "midtoken.json").is_file():
        return _sum_of_file(path / "midtoken.json")
    files = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    lines = [f"{_sum_of_file(files[name])}  {name}\n" for name in sorted(files) if not _is_hidden(name)]
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))


def _sum_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _figure(row: Mapping[str, Any]) -> Figure:
    commands = tuple(tuple(command.split(" ")) for command in row["commands"])
    unknown = [command[0] for command in commands if command[0] not in PROGRAMS]
    if unknown or not commands:
        raise ValueError(f"{row['name']} does not say what to run")
    texts = {name: str(row[name]) for name in ("name", "page", "section", "date", "machine")}
    texts |= {name: str(row.get(name, "")) for name in ("code", "note")}
    return Figure(**texts, seed=row["seed"], commands=commands, made=dict(row.get("made", {})))
