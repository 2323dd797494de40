"""Read objects of JSON or YAML: each member by name and type, with a one-line error for a wrong value."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from engine import RequestError

_SHOWN = 60
T = TypeVar("T", bound=str)


class Fields:
    """The members of one object. ``where`` names the object in messages. Every method raises `RequestError`."""

    def __init__(self, value: object, where: str, known: Iterable[str] | None = None) -> None:
        """Refuse members that are not in ``known``. None allows all members."""
        if not isinstance(value, Mapping):
            raise RequestError(f"{where} must be an object, but is {kind_of(value)}")
        self._members: Mapping[Any, Any] = value
        self._where = where
        unknown = [] if known is None else [name for name in value if name not in set(known)]
        if unknown:
            raise RequestError(f"{where} has no {str(unknown[0])[:_SHOWN]!r}; leave it out, or correct its name")

    def has(self, name: str) -> bool:
        """Whether the member is present and not null."""
        return self._members.get(name) is not None

    def text(self, name: str, default: str | None = None, longest: float = math.inf) -> str:
        """A text of at most ``longest`` characters. Without a default, the member is required."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        if len(value) > longest:
            raise RequestError(f"{self._where}: {name} has {len(value)} characters; at most {longest:.0f} are taken")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RequestError(f"{self._where}: {name} is no Unicode text: it holds half a surrogate pair") from None
        return value

    def truth(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def number(self, name: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number, ``low <= number <= high``."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self._wrong(name, "a number", value)
        if not low <= value <= high:
            raise RequestError(f"{self._where}: {name} is {value:g}; it must be {_range(low, high)}")
        return float(value)

    def whole(self, name: str, default: int | None = None, low: int = 0, high: float = math.inf) -> int:
        """A whole number, ``low <= number <= high``."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number", value)
        if not low <= value <= high:
            shown = value if abs(value) < 10**15 else f"{float(min(value, 10**300)):g}"
            raise RequestError(f"{self._where}: {name} is {shown}; it must be {_range(low, high)}")
        return value

    def choice(self, name: str, choices: tuple[T, ...], default: T) -> T:
        """One of the given texts."""
        value = self._get(name, default)
        for known in choices:
            if value == known:
                return known
        shown = repr(value[:_SHOWN]) if isinstance(value, str) else kind_of(value)
        raise RequestError(f"{self._where}: {name} is {shown}; it must be one of {', '.join(choices)}")

    def elements(self, name: str, most: float = math.inf) -> list[Any]:
        """A list of at most ``most`` elements; empty if the member is missing."""
        value = self._get(name, [])
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        if len(value) > most:
            raise RequestError(f"{self._where}: {name} has {len(value)} elements; at most {most:.0f} are taken")
        return value

    def texts(self, name: str, most: float = math.inf) -> tuple[str, ...]:
        """A list of texts."""
        values = self.elements(name, most)
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(name, "a list of texts", value)
        return tuple(values)

    def member(self, name: str) -> object:
        """The value as it is; None if the member is missing."""
        return self._members.get(name)

    def _get(self, name: str, default: object) -> object:
        value = self._members.get(name)
        if value is None:
            value = default
        if value is None:
            raise RequestError(f"{self._where}: {name} is missing")
        return value

    def _wrong(self, name: str, wanted: str, value: object) -> RequestError:
        return RequestError(f"{self._where}: {name} must be {wanted}, but is {kind_of(value)}")


def kind_of(value: object) -> str:
    """The name of a JSON value's type, for messages."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"at least {_plain(low)}"
    return f"at most {_plain(high)}" if math.isinf(low) else f"from {_plain(low)} to {_plain(high)}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
