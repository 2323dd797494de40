"""What git ignores, without running git: ``.gitignore`` files from the repository down, and ``.git/info/exclude``.

The rules are those of git (gitignore(5)), with three limits:

- The user's global list and that of a linked worktree are outside the repository and are not read.
- A list that is a symbolic link is not read.
- A tracked file that matches a pattern counts as ignored, because the index is not read.

Nothing is ever written. A path counts as ignored if finding out would take too long.
"""

import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

from lsp_server.files.glob import Budget, TooMuchWork
from lsp_server.files.ignore_list import IgnoreList, lines_of
from lsp_server.files.repositories import local_path, repository_of

log = logging.getLogger(__name__)

LONGEST_LIST_BYTES = 1 << 20
LONGEST_PATH_BYTES = 4096
MOST_STEPS = 200_000
"""Limit on comparisons for one path, which take some tenths of a second."""
KEPT = 512
"""Lists and answers that are remembered."""

T = TypeVar("T")
_Signature: TypeAlias = tuple[int, int, int] | None
_EMPTY = IgnoreList(())


class GitIgnores:
    """Answers for paths. An answer is kept until one of the lists that it depends on changes, appears or disappears.

    It reads the file system, which may be slow. So it must not be used on the event loop's thread, and only on one
    thread.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[Path, tuple[_Signature, IgnoreList | None]] = OrderedDict()
        self._answers: OrderedDict[Path, tuple[list[tuple[Path, _Signature]], bool]] = OrderedDict()

    def cover(self, uri: str) -> bool:
        """Whether git ignores the document. False outside repositories, and for URIs that are not files of this
        machine.
        """
        path = local_path(uri)
        root = None if path is None else repository_of(path)
        if path is None or root is None:
            return False
        try:
            if len(os.fsencode(path)) > LONGEST_PATH_BYTES:
                return True
        except UnicodeEncodeError:  # a name that no file can have
            return True
        lists = list(_lists_for(path, root))
        grounds = [(file, _signature(file)) for _, file in lists]
        known = self._answers.get(path)
        if known is None or known[0] != grounds:
            read = [(folder, self._read(*ground)) for (folder, _), ground in zip(lists, grounds, strict=True)]
            known = grounds, _is_ignored(path, root, read)
            _put(self._answers, path, known)
        return known[1]

    def _read(self, path: Path, signature: _Signature) -> IgnoreList | None:
        if signature is None:
            return _EMPTY
        known = self._lists.get(path)
        if known is None or known[0] != signature:
            known = signature, _parse(path)
            _put(self._lists, path, known)
        return known[1]


def _is_ignored(path: Path, root: Path, lists: list[tuple[Path, IgnoreList | None]]) -> bool:
    """Whether the lists ignore ``path``. ``lists`` come with the folder that they apply to, in increasing order of
    precedence; a list that is too large is None.
    """
    if any(found is None for _, found in lists):
        return True
    parts = tuple(map(os.fsencode, path.relative_to(root).parts))
    own = [(len(folder.relative_to(root).parts), found) for folder, found in lists if found is not None]
    budget = Budget(MOST_STEPS)
    try:
        for depth in range(1, len(parts) + 1):
            is_folder = depth < len(parts)
            verdicts = (
                found.verdict(parts[above:depth], is_folder=is_folder, budget=budget)
                for above, found in reversed(own)
                if above < depth
            )
            if next((verdict for verdict in verdicts if verdict is not None), False):
                return True  # nothing inside an ignored folder can be included again
    except TooMuchWork:
        log.warning("the .gitignore of a document would take too long to weigh; it counts as ignored")
        return True
    return False


def _lists_for(path: Path, root: Path) -> Iterator[tuple[Path, Path]]:
    """Folder and file of every list that may apply to ``path``, in increasing order of precedence."""
    # If .git is a link, or a file as in linked worktrees, it leads outside of the repository.
    if _is_folder(root / ".git") and _is_folder(root / ".git" / "info"):
        yield root, root / ".git" / "info" / "exclude"
    for folder in reversed([parent for parent in path.parents if parent == root or root in parent.parents]):
        yield folder, folder / ".gitignore"


def _parse(path: Path) -> IgnoreList | None:
    """The list of a file; None if the file is too large."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LONGEST_LIST_BYTES + 1)
    except OSError:  # git also ignores a list that it cannot read
        return _EMPTY
    try:
        if len(data) > LONGEST_LIST_BYTES:
            raise TooMuchWork
        return IgnoreList(lines_of(data))
    except TooMuchWork:
        log.warning("a .gitignore is too long, or has too many patterns; all below it counts as ignored")
        return None


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
