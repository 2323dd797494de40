"""The published figures, each with the command that made it, and a way to run it again.

    python -m benchmarks.figures                                  # what there is
    python -m benchmarks.figures healing-bundled                  # says which files it needs, and where they come from
    python -m benchmarks.figures healing-bundled --file tasks=HumanEval-SingleLineInfilling.jsonl.gz

Run it from the repository's root. The manifest is ``docs/measurements/figures.toml`` (`benchmarks.manifest`). A row
names its page and section, the date, the machine, the seed and one or more commands, which run one after the other.
``{name}`` in a command is a file or folder. An input is given with ``--file``, or lies in the repository; its sum must
be that of the manifest. Anything else is written by a command of the row, into a folder of its own. Cases that were
made must have the sum of those of the figure, or the row ends there: then the same places are asked, or none.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import manifest
from benchmarks.arguments import parser_for
from benchmarks.manifest import ROOT, Figure, Input, Manifest, sum_of
from engine import MidtokenError, RequestError

MANIFEST = ROOT / "docs" / "measurements" / "figures.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the rows, or run one; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the row to make again (default: list them)")
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH", help="a file that the row needs")
    args = parser.parse_args(arguments)
    try:
        found = manifest.read(MANIFEST)
        if args.name is None:
            print("\n".join(f"{row.name:<32} {row.page}, {row.section} ({row.date})" for row in found.figures))
            return 0
        return run(chosen(found, args.name), found, dict(map(_named_path, args.file)))
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def chosen(found: Manifest, name: str) -> Figure:
    """The row of a name. Raises `RequestError`."""
    for row in found.figures:
        if row.name == name:
            return row
    raise RequestError(f"no figure is called {name!r}; 'python -m benchmarks.figures' lists them")


def run(row: Figure, found: Manifest, given: Mapping[str, Path]) -> int:
    """Run the commands of a row; the status of the first that fails. Raises `RequestError` for files that differ."""
    needed = found.inputs_of(row)
    paths = {each.name: ROOT / each.path for each in needed if each.path} | dict(given)
    if missing := [each for each in needed if each.name not in paths]:
        told = "; ".join(f"--file {each.name}=PATH ({each.what})" for each in missing)
        raise RequestError(f"{row.name} needs more files; give {told}")
    for each in needed:
        _check(each, paths[each.name], row)
    if row.code:
        print(f"note: the figure is of commit {row.code}; later code may complete otherwise", flush=True)
    if row.note:
        print(f"note: {row.note}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        unseen = dict(row.made)
        for command in row.commands_with(paths, Path(folder)):
            print("$ " + " ".join(command), flush=True)
            status = subprocess.run([*manifest.PROGRAMS[command[0]], *command[1:]], check=False).returncode
            if status != 0:
                return status
            for name in [name for name in unseen if (Path(folder) / name).exists()]:
                _check_made(name, sum_of(Path(folder) / name), unseen.pop(name), row)
    return 0


def _check(each: Input, path: Path, row: Figure) -> None:
    if each.lost:
        print(f"note: what {row.name} had as {each.name!r} was not kept ({each.lost}); figures may differ", flush=True)
        return
    if each.commit:
        known = subprocess.run(
            ["git", "-C", str(path), "cat-file", "-e", each.commit + "^{commit}"], capture_output=True, check=False
        )
        if known.returncode != 0:
            raise RequestError(f"{path} is no clone of {each.what} with the commit {each.commit}")
    elif (found := sum_of(path)) != each.sum:
        raise RequestError(f"{path} is not the {each.name!r} of {row.name}: its SHA-256 is {found}, not {each.sum}")


def _check_made(name: str, found: str, expected: str, row: Figure) -> None:
    if found != expected:
        raise RequestError(
            f"the {name} made here are not those of {row.name}: SHA-256 {found}, not {expected}; look at the sources"
        )
    print(f"the {name} are those of {row.name} (SHA-256 {found})", flush=True)


def _named_path(argument: str) -> tuple[str, Path]:
    name, _, path = argument.partition("=")
    if not re.fullmatch(r"\w+", name) or not path:
        raise RequestError(f"--file is {argument!r}; it must be NAME=PATH")
    return name, Path(path)


if __name__ == "__main__":
    sys.exit(main())
