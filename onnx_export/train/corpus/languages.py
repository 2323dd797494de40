"""The languages of the corpus, by file name, and the comments at the top of their files."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

PYTHON = "python"
_SUFFIXES = {
    PYTHON: ".py",
    "typescript": ".ts .tsx .mts .cts",
    "javascript": ".js .jsx .mjs .cjs",
    "c": ".c .h",  # also the headers of C++ that are called so
    "c++": ".cc .cpp .cxx .hh .hpp .hxx .ipp",
    "go": ".go",
    "rust": ".rs",
    "html": ".html .htm",
    "css": ".css .scss",
    "shell": ".sh .bash .zsh .bats",
    "markdown": ".md",
}
LANGUAGES = tuple(_SUFFIXES)
_LANGUAGE_OF: Mapping[str, str] = MappingProxyType(
    {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
)
MARKUP = frozenset({"html", "markdown"})
_BLOCKS = (("/*", "*/"), ("//", "\n"))
_ANGLES = (("<!--", "-->"), ("{#", "#}"), ("{% comment %}", "{% endcomment %}"))
_HASHES = (("#", "\n"),)
_COMMENTS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {PYTHON: _HASHES, "shell": _HASHES, "html": _ANGLES, "markdown": _ANGLES}
)


def language_of(path: str) -> str | None:
    """The language of a file, one of `LANGUAGES`, by the end of its name; None for any other file."""
    return _LANGUAGE_OF.get(PurePosixPath(path).suffix.lower())


def leading_comments(text: str, language: str) -> list[str]:
    """The comments at the top of a file, in order, each with the blank characters around it.

    Comments that follow each other without an empty line are one. Together they are the beginning of the text.
    """
    found: list[str] = []
    position = 0
    while True:
        start = position + len(text[position:]) - len(text[position:].lstrip())
        stop = next((stop for mark, stop in _COMMENTS.get(language, _BLOCKS) if text.startswith(mark, start)), None)
        end = -1 if stop is None else text.find(stop, start)
        if stop is None or (end == -1 and stop != "\n"):
            return found
        end = len(text) if end == -1 else end + len(stop)
        while text[end : end + 1] == "\n" != stop:  # the line breaks after a block belong to it
            end += 1
        piece = text[position:end]
        if found and "\n\n" not in found[-1][len(found[-1].rstrip()) :] + text[position:start]:
            found[-1] += piece
        else:
            found.append(piece)
        position = end
