"""The source files that a repository got after a date: code that a model trained before cannot have seen.

    python -m benchmarks.added_files REPOSITORY OUT --commit 37f36e9 --language go --since 2025-06-01
    python -m benchmarks.added_files . OUT --commit 9f3d78b --language python --whole engine --whole lsp_server

REPOSITORY is a clone with its history; nothing is fetched, and nothing of it is run. OUT gets the files as they are at
the commit, below the same paths. Of the files added since the date (new ones, no renamed ones), those count that have
3,000 to 60,000 bytes, and neither tests, examples, documents nor generated or foreign text by their paths (`NO_CODE`).
``--whole`` takes all files of the language below a folder instead, for a repository that is all new.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from benchmarks.arguments import parser_for
from benchmarks.cases import LANGUAGES
from engine import MidtokenError, RequestError

LEAST, MOST = 3_000, 60_000
"""Bytes of a file that counts: long enough for context, short enough to be written by people."""
NO_CODE = ("test", "spec", "example", "demo", "docs", "gener", "vendor", "external", "locale")
RENAMES = ("-c", "diff.renames=true", "-c", "diff.renameLimit=1000")
"""What counts as renamed, whatever the user's git is set to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--language", choices=sorted(LANGUAGES), required=True)
    parser.add_argument("--since", metavar="DATE", help="files added since (as 2025-06-01)")
    parser.add_argument("--whole", action="append", default=[], metavar="FOLDER", help="all files below it")
    args = parser.parse_args(arguments)
    try:
        found = list(chosen(args))
        for path in found:
            target = args.out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(git(args.repository, "cat-file", "blob", f"{args.commit}:{path}"))
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(found)} files")
    return 0


def chosen(args: argparse.Namespace) -> Iterator[str]:
    """Paths of the files in the repository. Raises `RequestError` if there are none, or git cannot tell."""
    if bool(args.since) == bool(args.whole):
        raise RequestError("give either --since DATE or --whole FOLDER")
    sizes = sizes_at(args.repository, args.commit, LANGUAGES[args.language].pattern)
    if args.whole:
        found = [path for path in sizes if any(PurePosixPath(path).is_relative_to(folder) for folder in args.whole)]
    else:
        added = added_since(args.repository, args.commit, args.since)
        found = [path for path in sizes if path in added and LEAST <= sizes[path] <= MOST and is_code(path)]
    if not found:
        raise RequestError(f"{args.repository} has no such files at {args.commit}")
    yield from found


def is_code(path: str) -> bool:
    """Whether nothing in the path says that the file is something else."""
    return not any(word in path for word in NO_CODE)


def sizes_at(repository: Path, commit: str, pattern: str) -> dict[str, int]:
    """The size in bytes of each file whose name fits, by path. Raises `RequestError`."""
    found = {}
    for line in git(repository, "ls-tree", "-r", "-l", "-z", commit).decode("utf-8", "replace").split("\0")[:-1]:
        about, path = line.split("\t", 1)
        _, kind, _, size = about.split()
        if kind == "blob" and PurePosixPath(path).match(pattern):
            found[path] = int(size)
    return found


def added_since(repository: Path, commit: str, date: str) -> set[str]:
    """Paths that a commit since the start of a day (UTC) added. Raises `RequestError`."""
    wanted = ("--diff-filter=A", f"--since={date}T00:00:00Z", "--format=", "--name-only", "-z", commit)
    return set(git(repository, *RENAMES, "log", *wanted).decode("utf-8", "replace").split("\0"))


def git(repository: Path, *arguments: str) -> bytes:
    """What git prints. Raises `RequestError` with its last line if it fails."""
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise RequestError(f"git cannot read {repository}: {said[-1]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
