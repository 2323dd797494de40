"""The patterns of one ``.gitignore``, as git reads them (gitignore(5)): the last pattern that matches a path decides.

The time for a path depends little on the length of the list: nearly all patterns are plain names and endings, and these
are looked up in a table. The others are tried one after the other, within a budget.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lsp_server.files.glob import ANY, STAR, Budget, Glob, Token, TooMuchWork, bracket, match_with_stars, matches

MOST_PATTERNS = 50_000
LONGEST_PATTERN = 4096
DEEP: Glob = (STAR, STAR)
"""The part ``**`` of a pattern: any number of folders."""
_WILD = {ord("*"): STAR, ord("?"): ANY}
Parts: TypeAlias = tuple[Glob, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """``parts`` are the parts between slashes. ``is_name`` says that it has no slashes and so matches names in
    every folder.
    """

    ignores: bool
    is_name: bool
    folders_only: bool
    parts: Parts

    def matches(self, path: Sequence[bytes], budget: Budget) -> bool:
        """Whether it matches the path, which is relative to the list's folder."""
        if self.is_name:
            return matches(self.parts[0], path[-1], budget)
        return match_with_stars(
            self.parts, path, lambda part: part is DEEP, lambda part, name: matches(part, name, budget), budget
        )


@dataclass(slots=True)
class _Table:
    """For each key, the last pattern for anything, and the last pattern for folders only."""

    anything: dict[bytes, int] = field(default_factory=dict)
    folders: dict[bytes, int] = field(default_factory=dict)

    def put(self, key: bytes, number: int, *, folders_only: bool) -> None:
        (self.folders if folders_only else self.anything)[key] = number

    def last(self, key: bytes, *, is_folder: bool) -> int:
        found = self.anything.get(key, -1)
        return max(found, self.folders.get(key, -1)) if is_folder else found


class IgnoreList:
    """Patterns in the order of their file. Raises `TooMuchWork` if there are too many, or one is too long."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._ignores: list[bool] = []
        self._names, self._paths, self._endings = _Table(), _Table(), _Table()
        self._lengths: set[int] = set()
        self._others: list[tuple[int, Pattern]] = []
        for pattern in filter(None, map(parse, lines)):
            self._add(pattern)

    def verdict(self, path: Sequence[bytes], *, is_folder: bool, budget: Budget) -> bool | None:
        """Whether the last pattern that matches ``path`` ignores it; None if none matches. Raises `TooMuchWork`."""
        name = path[-1]
        budget.spend(1 + len(self._lengths))
        last = max(
            self._names.last(name, is_folder=is_folder),
            self._paths.last(b"/".join(path), is_folder=is_folder),
            *(self._endings.last(name[-length:], is_folder=is_folder) for length in self._lengths),
            -1,
        )
        for number, pattern in reversed(self._others):
            if number < last:
                break
            budget.spend()
            if (is_folder or not pattern.folders_only) and pattern.matches(path, budget):
                last = number
                break
        return None if last < 0 else self._ignores[last]

    def _add(self, pattern: Pattern) -> None:
        number = len(self._ignores)
        if number >= MOST_PATTERNS:
            raise TooMuchWork
        self._ignores.append(pattern.ignores)
        plain = [_plain(part) for part in pattern.parts]
        whole = [part for part in plain if part is not None]
        if len(whole) == len(plain):
            table = self._names if pattern.is_name else self._paths
            table.put(b"/".join(whole), number, folders_only=pattern.folders_only)
            return
        first = pattern.parts[0]
        ending = _plain(first[1:]) if pattern.is_name and first[0] == STAR else None
        if ending:
            self._endings.put(ending, number, folders_only=pattern.folders_only)
            self._lengths.add(len(ending))
            return
        self._others.append((number, pattern))


def parse(line: bytes) -> Pattern | None:
    """The pattern of a line without its end; None for a comment, an empty line, or what can match nothing.

    Raises `TooMuchWork` for one that is too long.
    """
    line = _without_spaces_at_end(line.removesuffix(b"\r"))
    if len(line) > LONGEST_PATTERN:
        raise TooMuchWork
    if line.startswith(b"#"):
        return None
    ignores = not line.startswith(b"!")
    text = line[not ignores :]
    folders_only = text.endswith(b"/")
    text = text[:-1] if folders_only else text
    is_name = b"/" not in text
    parts = _parts(text.removeprefix(b"/"))
    if parts is None or () in parts:
        return None
    if is_name:
        return Pattern(ignores, True, folders_only, parts)
    deep = tuple(DEEP if _is_deep(part) else part for part in parts)
    if deep[-1] is DEEP:
        deep = (*deep, (STAR,))  # what is in the folder, not the folder
    return Pattern(ignores, False, folders_only, deep)


def _parts(text: bytes) -> Parts | None:
    """The globs between slashes; None if nothing can match."""
    if b"[" not in text and b"\\" not in text:
        return tuple(tuple(part) if _is_plain(part) else _wild(part) for part in text.split(b"/"))
    parts: list[Glob] = []
    part: list[Token] = []
    at = 0
    while at < len(text):
        byte = text[at : at + 1]
        at += 1
        if byte == b"\\":
            if at == len(text):
                return None
            byte, at = text[at : at + 1], at + 1
            if byte != b"/":
                part.append(byte[0])
                continue
        if byte == b"/":
            parts.append(tuple(part))
            part = []
        elif byte == b"[":
            found = bracket(text, at - 1)
            if found is None:
                return None
            members, at = found
            part.append(members)
        else:
            part.append(_WILD.get(byte[0], byte[0]))
    return (*parts, tuple(part))


def _is_plain(part: bytes) -> bool:
    return b"*" not in part and b"?" not in part


def _is_deep(part: Glob) -> bool:
    """Two stars between slashes stand for any number of folders. To git, so do three or more."""
    return len(part) >= len(DEEP) and set(part) == {STAR}


def _wild(part: bytes) -> Glob:
    return tuple(_WILD.get(byte, byte) for byte in part)


def _plain(part: Glob) -> bytes | None:
    """The name that a part without wild cards stands for."""
    name = [token for token in part if isinstance(token, int) and token >= 0]  # wild cards are sets or below 0
    return bytes(name) if len(name) == len(part) else None


def _without_spaces_at_end(line: bytes) -> bytes:
    """Without spaces at the end, except one that a backslash quotes."""
    end = len(line.rstrip(b" "))
    quotes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + 1] if quotes % 2 and end < len(line) else line[:end]


def lines_of(data: bytes) -> Iterator[bytes]:
    """The lines of a list, without the mark that some editors put in front."""
    yield from data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
