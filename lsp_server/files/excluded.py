"""Which documents are completed at all: the ``languages`` and ``exclude`` settings."""

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from lsp_server.settings import Settings


def is_selected(uri: str, language: str, settings: Settings) -> bool:
    """Whether the settings allow a document to be read by the model, for itself or as context of another."""
    if settings.languages and language not in settings.languages:
        return False
    path = path_of(uri)
    return not any(_matches(path, pattern) for pattern in settings.exclude)


def path_of(uri: str) -> str:
    """The path of a URI with forward slashes; the whole of what cannot be parsed as one."""
    try:
        return unquote(urlsplit(uri).path).replace("\\", "/")
    except ValueError:
        return uri


def _matches(path: str, pattern: str) -> bool:
    """A pattern without a slash speaks of the file name, one with a slash of the whole path; ``*`` crosses slashes.

    Letter case does not count: a secret is one under any spelling.
    """
    path, pattern = "/" + path.lstrip("/").casefold(), pattern.casefold()
    if "/" not in pattern:
        return fnmatchcase(PurePosixPath(path).name, pattern)
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern.lstrip('/')}")
