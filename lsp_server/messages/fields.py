"""Parts of a message as plain JSON, read without raising: a value of a wrong kind is read as None."""

import math
from collections.abc import Iterable, Mapping

from lsprotocol import types

LARGEST = 2**31 - 1
"""The largest of the protocol's integers. A larger position means the end of the line or document in any case."""


class Unreadable(ValueError):
    """A message lacks something that is required. The text says what, and quotes nothing of the message."""


def member(value: object, *path: str) -> object:
    """The member of an object under the first name, then of that under the next, and so on; None if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text(value: object) -> str | None:
    """A string."""
    return value if isinstance(value, str) else None


def elements(value: object) -> tuple[object, ...]:
    """The elements of a list; empty for anything else."""
    return tuple(value) if isinstance(value, list) else ()


def is_offered(value: object) -> bool:
    """Whether a capability is there: an object, even an empty one, or true."""
    return value is True or isinstance(value, Mapping)


def integer(value: object, low: int = 0) -> int | None:
    """A number as a whole number between ``low`` and `LARGEST`; None for anything else.

    >>> integer(2.5), integer(-1), integer(2**40), integer("2"), integer(True)
    (2, 0, 2147483647, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return int(max(low, min(value, LARGEST)))


def identifier(value: object) -> int | str | None:
    """The id of a request: text or a whole number, which some clients write as 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def position(value: object) -> types.Position | None:
    """A position, brought into range; None without two numbers."""
    line, character = integer(member(value, "line")), integer(member(value, "character"))
    return None if line is None or character is None else types.Position(line, character)


def span(value: object) -> types.Range | None:
    """A range; None without two positions."""
    start, end = position(member(value, "start")), position(member(value, "end"))
    return None if start is None or end is None else types.Range(start, end)


def uri_of(value: object) -> str:
    """The ``uri`` of an object. Raises `Unreadable` without one."""
    uri = text(member(value, "uri"))
    if uri is None:
        raise Unreadable("the URI of the document is missing")
    return uri


def uris_of(values: Iterable[object]) -> tuple[str, ...]:
    """The URIs of those objects that have one."""
    found = (text(member(value, "uri")) for value in values)
    return tuple(uri for uri in found if uri is not None)
