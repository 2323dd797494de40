"""Globs, matched in bounded time for every pattern.

A regular expression would try every way to divide a text among several ``*``. It is enough to backtrack to the last
``*``, because it can take everything that an earlier one could take. So a match costs at most the product of the two
lengths. A `Budget` counts the steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

ANY = -1
STAR = -2


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character that is in a set, or one that is not."""

    members: frozenset[int]
    negated: bool = False

    def takes(self, character: int) -> bool:
        """Whether the character is one of them."""
        return (character in self.members) != self.negated


Token: TypeAlias = int | OneOf
"""A character (git: a byte), `ANY` one, one of a set, or `STAR`: any number of them."""
Glob: TypeAlias = tuple[Token, ...]

T = TypeVar("T")
P = TypeVar("P")


class TooMuchWork(Exception):
    """A match would take longer than its budget."""


@dataclass(slots=True)
class Budget:
    """How many comparisons are left."""

    steps: int

    def spend(self, steps: int = 1) -> None:
        """Raises `TooMuchWork` once nothing is left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuchWork


def matches(glob: Glob, name: Sequence[int], budget: Budget) -> bool:
    """Whether the glob matches all of ``name``."""
    return match_with_stars(glob, name, _is_star, _takes, budget)


def match_with_stars(
    pattern: Sequence[P],
    items: Sequence[T],
    is_star: Callable[[P], bool],
    takes: Callable[[P, T], bool],
    budget: Budget,
) -> bool:
    """Whether a pattern matches all items. A star in it stands for any number of items, every other part for one."""
    at = item = 0
    star, resumed = -1, 0
    while item < len(items):
        budget.spend()
        if at < len(pattern) and is_star(pattern[at]):
            star, resumed = at, item
            at += 1
        elif at < len(pattern) and takes(pattern[at], items[item]):
            at, item = at + 1, item + 1
        elif star >= 0:
            resumed += 1
            at, item = star + 1, resumed
        else:
            return False
    return all(is_star(part) for part in pattern[at:])


def _is_star(token: Token) -> bool:
    return token == STAR


def _takes(token: Token, character: int) -> bool:
    return token.takes(character) if isinstance(token, OneOf) else token in (character, ANY)


def matches_chunks(chunks: Sequence[str], text: str) -> bool:
    """Whether a pattern that was split at its stars, and has no other wild cards, matches all of ``text``.

    >>> matches_chunks("*.env.*".split("*"), "a/.env.local")
    True
    """
    first, *middle = chunks
    if not middle:
        return text == first
    last = middle.pop()
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for chunk in middle:
        start = text.find(chunk, start, end)
        if start < 0:
            return False
        start += len(chunk)
    return True


def bracket(text: bytes, start: int) -> tuple[OneOf, int] | None:
    """The set of a bracket expression that opens at ``start``, and where it ends; None if nothing closes it.

    The syntax is that of git and shells: ``!`` or ``^`` inverts the set, a ``]`` in front is a member of it, ``\\``
    quotes.
    """
    at = start + 1
    negated = text[at : at + 1] in (b"!", b"^")
    at += negated
    first, members = at, set[int]()
    while at < len(text):
        if text[at] == ord("]") and at > first:
            return OneOf(frozenset(members), negated), at + 1
        named = _named_class(text, at)
        if named is not None:
            members |= named[0]
            at = named[1]
            continue
        low, at = _quoted(text, at)
        if text[at : at + 1] == b"-" and text[at + 1 : at + 2] not in (b"", b"]"):
            high, at = _quoted(text, at + 1)
            members.update(range(low, high + 1))
        else:
            members.add(low)
    return None


def _quoted(text: bytes, at: int) -> tuple[int, int]:
    if text[at] == ord("\\") and at + 1 < len(text):
        at += 1
    return text[at], at + 1


_ASCII = [chr(code) for code in range(128)]
_CLASSES: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "alnum": str.isalnum,
        "alpha": str.isalpha,
        "blank": lambda character: character in " \t",
        "cntrl": lambda character: not character.isprintable(),
        "digit": str.isdigit,
        "graph": lambda character: character.isprintable() and character != " ",
        "lower": str.islower,
        "print": str.isprintable,
        "punct": lambda character: character.isprintable() and not character.isalnum() and character != " ",
        "space": lambda character: character in " \t\n\v\f\r",
        "upper": str.isupper,
        "xdigit": lambda character: character in "0123456789abcdefABCDEF",
    }
)


def _named_class(text: bytes, at: int) -> tuple[set[int], int] | None:
    """The bytes of a class such as ``[:alpha:]``, and where it ends; None if there is none."""
    end = text.find(b":]", at) if text.startswith(b"[:", at) else -1
    belongs = _CLASSES.get(text[at + 2 : end].decode("latin-1")) if end > 0 else None
    if belongs is None:
        return None
    return {ord(character) for character in _ASCII if belongs(character)}, end + 2
