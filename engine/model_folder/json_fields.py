"""Fields of decoded JSON, each checked as it is read.

All raise `KeyError` if the field is missing. If it is of a wrong kind, they raise `TypeError` or `ValueError`, and the
message says what belongs there.
"""

import reprlib
from typing import Any

LONGEST_NAME = 200
"""Limit in characters for texts that are shown to people in one line."""


def shown(value: object) -> str:
    """A value for an error message: as Python writes it, cut if it is long."""
    return reprlib.repr(value)


def read_object(value: object, name: str) -> dict[str, Any]:
    """``value``, which must be an object."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be an object")
    return value


def read_text(raw: dict[str, Any], name: str) -> str:
    """A text."""
    if not isinstance(raw[name], str):
        raise TypeError(f"{name!r} must be text")
    return str(raw[name])


def read_name(raw: dict[str, Any], name: str) -> str:
    """A text for people: one line of printable characters, so that it cannot control a terminal."""
    text = read_text(raw, name)
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"{name!r} must be at most {LONGEST_NAME} printable characters")
    return text


def read_truth(raw: dict[str, Any], name: str) -> bool:
    """True or false; false if it is missing."""
    value = raw.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false")
    return value


def read_choice(raw: dict[str, Any], name: str, choices: tuple[str, ...]) -> Any:
    """One of ``choices``."""
    if raw[name] not in choices:
        raise ValueError(f"{name} is {shown(raw[name])}, not one of {', '.join(choices)}")
    return raw[name]


def read_id(value: object, name: str) -> int:
    """``value``, which must be a whole number of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} holds {shown(value)} where a whole number of at least 0 belongs")
    return value


def read_optional_id(raw: dict[str, Any], name: str) -> int | None:
    """A whole number of at least 0, or None if it is missing or null."""
    return None if raw.get(name) is None else read_id(raw[name], name)


def read_count(raw: dict[str, Any], name: str, most: int) -> int:
    """A whole number from 1 to ``most``."""
    value = read_id(raw[name], name)
    if not 1 <= value <= most:
        raise ValueError(f"{name} is {shown(value)}; it must be 1 to {most}")
    return value


def read_weights(raw: dict[str, Any], name: str, most: int) -> tuple[float, ...]:
    """A list of up to ``most`` numbers in [0, 1); empty if it is missing."""
    values = raw.get(name, [])
    if not isinstance(values, list) or len(values) > most:
        raise TypeError(f"{name} must be a list of at most {most} numbers")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(f"{name} holds {shown(value)} where a number of at least 0 and less than 1 belongs")
    return tuple(map(float, values))
