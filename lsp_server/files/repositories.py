"""Where a document is: its file on this machine, the git repository around it, and its name in that repository."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from lsp_server.files.excluded import path_of

LOCAL_SCHEMES = ("file", "git", "vscode-notebook-cell")
"""Schemes of URIs whose path is one of this machine's files."""
_DRIVE = re.compile(r"/[A-Za-z]:(?=/|$)")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """``path`` is a document's name in its repository, with forward slashes. ``repository`` is the repository's name,
    empty if there is none; ``root`` is its folder.
    """

    path: str
    repository: str = ""
    root: Path | None = None


def named_file(uri: str) -> NamedFile:
    """Where the document of a URI is. Outside of repositories, its path is its file name with the name of its
    folder.
    """
    path = local_path(uri)
    root = None if path is None else repository_of(path)
    return NamedFile(name_in(root, uri), "" if root is None else root.name, root)


def name_in(root: Path | None, uri: str) -> str:
    """The path of a document below ``root``. If it is not below, its file name with the name of its folder."""
    path = local_path(uri)
    if root is not None and path is not None and root in path.parents:
        return path.relative_to(root).as_posix()
    return "/".join(PurePosixPath(path_of(uri)).parts[-2:]).lstrip("/")


def local_path(uri: str) -> Path | None:
    """The file of a URI; None if it is not a file of this machine."""
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        return None
    path = path_of(uri)
    if scheme not in LOCAL_SCHEMES or not path.startswith("/"):
        return None
    return Path(os.path.normpath(path[1:] if _DRIVE.match(path) else path))


def repository_of(path: Path) -> Path | None:
    """The folder of the git repository around a file, or None. It reads the file system."""
    for folder in path.parents:
        try:
            os.lstat(folder / ".git")
        except (OSError, ValueError):
            continue
        return folder
    return None
