"""Which documents are completed at all: the ``languages`` and ``exclude`` settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from lsp_server.files.glob import ANY, STAR, Budget, Glob, OneOf, Token, TooMuchWork, matches, matches_chunks
from lsp_server.settings import Settings

MOST_STEPS = 100_000
"""Limit on comparisons for one document. A document that would need more counts as excluded."""
_Pattern: TypeAlias = Callable[[str, Budget], bool]
"""Whether a pattern matches all of a text. Raises `TooMuchWork`."""


@dataclass(frozen=True, slots=True)
class ExcludePatterns:
    """The patterns of ``exclude``: ``names`` match the file name, ``paths`` the whole path."""

    names: tuple[_Pattern, ...]
    paths: tuple[_Pattern, ...]

    @classmethod
    def of(cls, exclude: tuple[str, ...]) -> "ExcludePatterns":
        """A pattern without a slash matches the file name, one with a slash the path or its end; ``*`` crosses
        slashes.
        """
        return _compiled(exclude)

    def cover(self, uri: str) -> bool:
        """Whether one of the patterns matches the document. Letter case is ignored, to be on the safe side."""
        path = "/" + path_of(uri).lstrip("/").casefold()
        name = PurePosixPath(path).name
        budget = Budget(MOST_STEPS)
        try:
            return any(pattern(name, budget) for pattern in self.names) or any(
                pattern(path, budget) for pattern in self.paths
            )
        except TooMuchWork:
            return True


def is_selected(language: str, settings: Settings) -> bool:
    """Whether the settings allow documents of a language to be read by the model."""
    return not settings.languages or language in settings.languages


def path_of(uri: str) -> str:
    """The path of a URI with forward slashes; the whole text if it cannot be parsed."""
    try:
        return unquote(urlsplit(uri).path).replace("\\", "/")
    except ValueError:
        return uri


@lru_cache(maxsize=4)
def _compiled(exclude: tuple[str, ...]) -> ExcludePatterns:
    names = [pattern for pattern in exclude if "/" not in pattern]
    paths = [pattern for pattern in exclude if "/" in pattern]
    ends = [f"*/{pattern.lstrip('/')}" for pattern in paths]
    return ExcludePatterns(tuple(map(_pattern, names)), tuple(map(_pattern, (*paths, *ends))))


def _pattern(text: str) -> _Pattern:
    text = text.casefold()
    if "?" in text or "[" in text:
        glob = _glob(text)
        return lambda name, budget: matches(glob, tuple(map(ord, name)), budget)
    chunks = tuple(text.split("*"))
    return lambda name, budget: matches_chunks(chunks, name)


def _glob(text: str) -> Glob:
    """A glob with ``?`` and ``[...]`` as in `fnmatch`. A bracket that is not closed is an ordinary character."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        end = text.find("]", at + 2 + text.startswith("[!", at)) if text[at] == "[" else -1
        if end > 0:
            tokens.append(_one_of(text[at + 1 : end]))
            at = end + 1
        else:
            tokens.append({"*": STAR, "?": ANY}.get(text[at], ord(text[at])))
            at += 1
    return tuple(tokens)


def _one_of(inside: str) -> OneOf:
    negated = inside.startswith("!")
    inside = inside[negated:]
    members = set[int]()
    at = 0
    while at < len(inside):
        is_range = inside[at + 1 : at + 2] == "-" and at + 2 < len(inside)
        last = at + 2 if is_range else at
        members.update(range(ord(inside[at]), ord(inside[last]) + 1))
        at = last + 1
    return OneOf(frozenset(members), negated)
