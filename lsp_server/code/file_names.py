"""The language of a file by its name, for use without an editor."""

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

_ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "py": "python",
        "pyi": "python",
        "pyw": "python",
        "js": "javascript",
        "mjs": "javascript",
        "cjs": "javascript",
        "jsx": "javascriptreact",
        "ts": "typescript",
        "mts": "typescript",
        "cts": "typescript",
        "tsx": "typescriptreact",
        "go": "go",
        "rs": "rust",
        "java": "java",
        "kt": "kotlin",
        "swift": "swift",
        "dart": "dart",
        "scala": "scala",
        "c": "c",
        "h": "c",
        "cc": "cpp",
        "cpp": "cpp",
        "cxx": "cpp",
        "hpp": "cpp",
        "cs": "csharp",
        "rb": "ruby",
        "php": "php",
        "lua": "lua",
        "sh": "shellscript",
        "bash": "shellscript",
        "ps1": "powershell",
        "sql": "sql",
        "hs": "haskell",
        "css": "css",
        "scss": "scss",
        "less": "less",
        "html": "html",
        "json": "json",
        "yaml": "yaml",
        "yml": "yaml",
        "toml": "toml",
        "md": "markdown",
    }
)


def language_of(name: str) -> str | None:
    """The protocol's id for the language of a file; None if the name does not tell.

    >>> language_of("src/app.PY")
    'python'
    """
    return _ENDINGS.get(PurePath(name).suffix[1:].lower())
