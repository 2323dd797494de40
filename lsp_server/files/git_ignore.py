"""What git ignores, without running git: ``.gitignore`` files from the repository down, and ``.git/info/exclude``.

As git has it (gitignore(5)), with three limits: the user's global list and that of a linked worktree lie outside the
repository and are not read, and neither is a list that is a symbolic link; a file that is tracked although a pattern
matches it counts as ignored, for the index is not read. Nothing is ever written.
"""

import os
import re
import stat
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from lsp_server.files.repositories import local_path, repository_of

LONGEST_LIST_BYTES = 1 << 20
KEPT = 512
"""Lists and answers that are remembered."""

T = TypeVar("T")
Patterns: TypeAlias = tuple[GitIgnoreSpecPattern, ...]
_Signature: TypeAlias = tuple[int, int, int] | None
_FOLDER_MARK = "ps_d"
"""The library's name for the group that matches the slash behind a folder; the tests compare what follows with git."""


class GitIgnores:
    """Answers for paths. Each answer stands until one of the lists that it rests on changes, comes or goes."""

    def __init__(self) -> None:
        self._lists: OrderedDict[Path, tuple[_Signature, Patterns]] = OrderedDict()
        self._answers: OrderedDict[Path, tuple[list[tuple[Path, _Signature]], bool]] = OrderedDict()

    def cover(self, uri: str) -> bool:
        """Whether git ignores the document. False outside repositories, and for what is no file of this machine."""
        path = local_path(uri)
        root = None if path is None else repository_of(path)
        if path is None or root is None:
            return False
        lists = list(_lists_for(path, root))
        grounds = [(file, _signature(file)) for _, file in lists]
        known = self._answers.get(path)
        if known is None or known[0] != grounds:
            patterns = [self._read(file, signature) for file, signature in grounds]
            folders = [folder for folder, _ in lists]
            known = grounds, _is_ignored(path, root, list(zip(folders, patterns, strict=True)))
            _put(self._answers, path, known)
        return known[1]

    def _read(self, path: Path, signature: _Signature) -> Patterns:
        if signature is None:
            return ()
        known = self._lists.get(path)
        if known is None or known[0] != signature:
            known = signature, _parse(path)
            _put(self._lists, path, known)
        return known[1]


def _is_ignored(path: Path, root: Path, lists: list[tuple[Path, Patterns]]) -> bool:
    """``lists`` are patterns with the folder that they speak of, the weakest first."""
    parts = path.relative_to(root).parts
    for depth in range(1, len(parts) + 1):
        here = root.joinpath(*parts[:depth])
        mark = "/" if depth < len(parts) else ""
        verdicts = (
            _verdict(patterns, here.relative_to(folder).as_posix() + mark)
            for folder, patterns in reversed(lists)
            if folder in here.parents
        )
        if next((verdict for verdict in verdicts if verdict is not None), False):
            return True  # nothing in an ignored folder can be taken back
    return False


def _verdict(patterns: Patterns, path: str) -> bool | None:
    """Whether the last pattern that matches ``path`` takes it in or out; None if none does."""
    for pattern in reversed(patterns):
        found = pattern.match_file(path)
        if found is not None and _is_for_itself(found.match, path):
            return pattern.include
    return None


def _is_for_itself(match: re.Match[str], path: str) -> bool:
    """Not only for a folder around it: the library lets a pattern match all below too, and marks the folder's slash."""
    return match.groupdict().get(_FOLDER_MARK) is None or match.end(_FOLDER_MARK) == len(path)


def _lists_for(path: Path, root: Path) -> Iterator[tuple[Path, Path]]:
    """Folder and file of every list that may speak of ``path``, the weakest first."""
    # Where .git is a link, or a file as in linked worktrees, what it leads to lies elsewhere.
    if _is_folder(root / ".git") and _is_folder(root / ".git" / "info"):
        yield root, root / ".git" / "info" / "exclude"
    for folder in reversed([parent for parent in path.parents if parent == root or root in parent.parents]):
        yield folder, folder / ".gitignore"


def _parse(path: Path) -> Patterns:
    try:
        with path.open("rb") as stream:
            text = stream.read(LONGEST_LIST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(pattern for line in text.split("\n") if (pattern := _pattern(line)) is not None)


def _pattern(line: str) -> GitIgnoreSpecPattern | None:
    """None for comments, blank lines and what git cannot read as a pattern either."""
    try:
        pattern = GitIgnoreSpecPattern(_in_full(line.removesuffix("\r")))
    except ValueError:
        return None
    return None if pattern.include is None else pattern


def _in_full(line: str) -> str:
    """The pattern in a spelling of which the library's short cuts make no more than git does."""
    if line in ("*/", "!*/"):
        return line.replace("*/", "?*/")
    if line.endswith("**/"):  # folders only
        return line + "*/"
    return line + "/*" if line.endswith("/**") else line  # what is in the folder, not the folder


def _signature(path: Path) -> _Signature:
    """Changes when the file does; None if there is no regular file."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _put(table: OrderedDict[Path, T], path: Path, value: T) -> None:
    table[path] = value
    table.move_to_end(path)
    if len(table) > KEPT:
        table.popitem(last=False)
