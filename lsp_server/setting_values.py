"""Checks of single settings: each reader turns a client's JSON value, or an environment variable, into our type.

A reader raises ValueError with what is wrong, or an error of the engine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from lsp_server.models.names import is_name, looks_like_path
from lsp_server.remote.address import checked_url

TraceLevel = Literal["off", "messages", "verbose"]
MultiLine: TypeAlias = Literal["auto"] | bool


@dataclass(frozen=True, slots=True)
class Variable:
    """The text of an environment variable. Each reader converts it to the type that it needs."""

    text: str


_YES = ("1", "true", "on", "yes")
_TOO_LARGE = 10**15
MOST_THREADS = 1024
MOST_CACHE_MB = 65_536
_NO = ("0", "false", "off", "no")


def kind_of(value: object) -> str:
    """What a value is, in the words of a message."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", type(None): "null"}
    return names.get(type(value), "an object")


def read_truth(value: object) -> bool:
    """True or false."""
    if isinstance(value, Variable):
        word = value.text.lower()
        value = word in _YES if word in _YES + _NO else word
    if not isinstance(value, bool):
        raise ValueError(f"it is {kind_of(value)} where true or false belongs")
    return value


def read_truth_or_auto(value: object) -> MultiLine:
    """True, false or ``auto``."""
    word = value.text.lower() if isinstance(value, Variable) else value
    if word == "auto":
        return "auto"
    if isinstance(word, str) and word not in _YES + _NO:
        raise ValueError(f"it is {word[:80]!r}; it must be auto, true or false")
    return read_truth(value)


def read_share(value: object) -> float:
    """A number from 0 to 1."""
    number = read_number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"it is {number:g}; it must be at least 0 and at most 1")
    return number


def read_text(value: object) -> str:
    """A text."""
    if isinstance(value, Variable):
        return value.text
    if not isinstance(value, str):
        raise ValueError(f"it is {kind_of(value)} where text belongs")
    return value


def read_number(value: object) -> float:
    """A finite number."""
    if isinstance(value, Variable):
        try:
            value = float(value.text)
        except ValueError as error:
            raise ValueError("it is text where a number belongs") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"it is {kind_of(value)} where a number belongs")
    if not abs(value) < _TOO_LARGE:  # not a number is not below it either
        raise ValueError("it is no number of a sensible size")
    return float(value)


def read_whole(value: object) -> int:
    """A whole number."""
    number = read_number(value)
    if not number.is_integer():
        raise ValueError(f"it is {number:g} where a whole number belongs")
    return int(number)


def read_milliseconds(low: int) -> Callable[[object], int]:
    """A reader of whole milliseconds from ``low`` to a minute."""

    def read(value: object) -> int:
        number = read_whole(value)
        if not low <= number <= 60_000:
            raise ValueError(f"it is {number}; it must be at least {low} and at most 60000")
        return number

    return read


def read_threads(value: object) -> int:
    """A number of threads."""
    number = read_whole(value)
    if not 1 <= number <= MOST_THREADS:
        raise ValueError(f"it is {number}; it must be at least 1 and at most {MOST_THREADS}")
    return number


def read_megabytes(value: object) -> int:
    """Megabytes of memory for keys and values."""
    number = read_whole(value)
    if not 0 <= number <= MOST_CACHE_MB:
        raise ValueError(f"it is {number}; it must be at least 0 and at most {MOST_CACHE_MB}")
    return number


def read_choice(choices: tuple[str, ...]) -> Callable[[object], str]:
    """A reader of one of some texts."""

    def read(value: object) -> str:
        if read_text(value) not in choices:
            raise ValueError(f"it is {read_text(value)[:80]!r}; it must be one of {', '.join(choices)}")
        return read_text(value)

    return read


def read_texts(value: object) -> tuple[str, ...]:
    """A list of texts; in the environment they are separated by commas."""
    if isinstance(value, Variable):  # the environment has no lists
        value = [part for part in (part.strip() for part in value.text.split(",")) if part]
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"it is {kind_of(value)} where a list of texts belongs")
    return tuple(value)


def read_model(value: object) -> Path | str | None:
    """A name of a model, or the absolute path of a folder; None for an empty text."""
    text = read_text(value)
    if not text or (is_name(text) and not looks_like_path(text)):
        return text or None
    return _file(text, "give an absolute one, or a name of 'midtoken models'")


def read_url(value: object) -> str:
    """The checked URL of a service, or an empty text."""
    text = read_text(value).strip()
    return checked_url(text) if text else ""


def read_token_file(value: object) -> Path | None:
    """The absolute path of a file with a token; None for an empty text."""
    text = read_text(value)
    return _file(text, "give an absolute one") if text else None


def _file(text: str, advice: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if not path.is_absolute():
        raise ValueError(f"it is a relative path; {advice}")
    return path


def read_trace(value: object) -> str:
    """A `TraceLevel`."""
    # Editors built on the reference client have their own switch at midtoken.trace.server.
    server = value.get("server", "off") if isinstance(value, Mapping) else value
    return read_choice(get_args(TraceLevel))(server)
