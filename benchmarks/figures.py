"""The published figures, each with the command that made it, and a way to run it again.

    python -m benchmarks.figures                                  # what there is
    python -m benchmarks.figures healing-bundled --file tasks=HumanEval-SingleLineInfilling.jsonl.gz

The manifest is ``docs/measurements/figures.toml``. A row names its page and section, the date, the machine, the seed
and one or more commands, which run one after the other. ``{name}`` in a command is a file or folder. It is given with
``--file`` (its SHA-256 must then be that of the row, if the row has one), or a command of the row writes it into a
folder of its own. A model folder is identified by the sum of its ``midtoken.json``, which holds the sums of its files.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arguments import parser_for
from engine import DocumentError, MidtokenError, RequestError

MANIFEST = Path(__file__).parents[1] / "docs" / "measurements" / "figures.toml"
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "python": (sys.executable,),
    "midtoken": (sys.executable, "-m", "lsp_server"),
}
_PLACE = re.compile(r"\{(\w+)\}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: figures that were printed together. ``files`` holds SHA-256 sums by name; empty if none was kept."""

    name: str
    page: str
    section: str
    date: str
    machine: str
    commands: tuple[tuple[str, ...], ...]
    files: Mapping[str, str]
    seed: int | None = None

    def commands_with(self, given: Mapping[str, Path], made: Path) -> list[list[str]]:
        """The commands with paths in place of names. Files that are not given are in the folder ``made``."""

        def path(match: re.Match[str]) -> str:
            return str(given.get(match[1], made / match[1]))

        return [[_PLACE.sub(path, part) for part in command] for command in self.commands]


def main(arguments: Sequence[str] | None = None) -> int:
    """List the rows, or run one; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the row to make again (default: list them)")
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH", help="a file that the row names")
    args = parser.parse_args(arguments)
    try:
        rows = read(MANIFEST)
        if args.name is None:
            print("\n".join(f"{row.name:<24} {row.page}, {row.section} ({row.date})" for row in rows))
            return 0
        return run(chosen(rows, args.name), dict(map(_named_path, args.file)))
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def read(manifest: Path) -> list[Figure]:
    """The rows of a manifest. Raises `DocumentError` if it is not one, OSError if it cannot be read."""
    try:
        rows = tomllib.loads(manifest.read_text(encoding="utf-8"))["figure"]
        return [_figure(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(f"{manifest.name} is no manifest of figures ({error})") from error


def chosen(rows: Sequence[Figure], name: str) -> Figure:
    """The row of a name. Raises `RequestError`."""
    for row in rows:
        if row.name == name:
            return row
    raise RequestError(f"no figure is called {name!r}; 'python -m benchmarks.figures' lists them")


def run(row: Figure, given: Mapping[str, Path]) -> int:
    """Run the commands of a row; the status of the first that fails. Raises `RequestError` for files that differ."""
    for name, expected in row.files.items():
        if name not in given:
            raise RequestError(f"{row.name} needs the file {name!r}; give --file {name}=PATH")
        if expected and (found := sum_of(given[name])) != expected:
            raise RequestError(f"{given[name]} is not the file of {row.name}: its SHA-256 is {found}, not {expected}")
    with tempfile.TemporaryDirectory() as folder:
        for command in row.commands_with(given, Path(folder)):
            status = subprocess.run([*PROGRAMS[command[0]], *command[1:]], check=False).returncode
            if status != 0:
                return status
    return 0


def sum_of(path: Path) -> str:
    """The SHA-256 of a file, of a model folder that of its manifest. Raises OSError."""
    file = path / "midtoken.json" if path.is_dir() else path
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while data := stream.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _figure(row: Mapping[str, Any]) -> Figure:
    commands = tuple(tuple(command.split(" ")) for command in row["commands"])
    unknown = [command[0] for command in commands if command[0] not in PROGRAMS]
    if unknown or not commands:
        raise ValueError(f"{row['name']} does not say what to run")
    texts = {name: str(row[name]) for name in ("name", "page", "section", "date", "machine")}
    return Figure(**texts, commands=commands, files=dict(row.get("files", {})), seed=row.get("seed"))


def _named_path(argument: str) -> tuple[str, Path]:
    name, _, path = argument.partition("=")
    if not name or not path:
        raise RequestError(f"--file is {argument!r}; it must be NAME=PATH")
    return name, Path(path)


if __name__ == "__main__":
    sys.exit(main())
