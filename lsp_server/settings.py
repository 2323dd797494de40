"""Settings: fully defaulted, converted once at the edge, never raising.

They come in layers: what the client says (``workspace/configuration`` over ``initializationOptions``), then the command
line, then ``MIDTOKEN_*`` in the environment, then the defaults here. A value that cannot be used is left out of its
layer and reported by name, so the next layer's value is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from engine import (
    DEVICES,
    HEALING_MODES,
    SPECULATIONS,
    STRATEGIES,
    DeviceChoice,
    HealingMode,
    HealingParams,
    MidtokenError,
    SamplingParams,
    Speculation,
    StopParams,
    Strategy,
)
from lsp_server.code.confidence import DEFAULT_CONFIDENCE
from lsp_server.effort import Effort
from lsp_server.models.names import is_name, looks_like_path
from lsp_server.remote.address import Remote, checked_url

SECTION = "midtoken"
ENVIRONMENT_PREFIX = "MIDTOKEN_"

TraceLevel = Literal["off", "messages", "verbose"]
MultiLine: TypeAlias = Literal["auto"] | bool
Values: TypeAlias = Mapping[str, Any]
"""One layer: field names of `Settings` to values that are known to be good."""

SECRETS = (
    "**/.env",
    "**/.env.*",
    "**/*.pem",
    "**/*.key",
    "**/*.p12",
    "**/*.pfx",
    "**/*.jks",
    "**/*.keystore",
    "**/id_rsa",
    "**/id_dsa",
    "**/id_ecdsa",
    "**/id_ed25519",
    "**/.netrc",
    "**/.pgpass",
    "**/.git-credentials",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user can choose; ``docs/protocol.md`` has the table.

    ``budget_ms`` counts from the arrival of a request. The default is a cap, not a target: an answer that takes longer
    is for text that has changed long ago. ``debounce_ms`` is the longest that an automatic request waits (see
    `lsp_server.scheduling.debounce`). Editors wait already, and a call that was begun in vain stops at its next step or
    is handed on, so it only has to outlast the repeat of a held-down key (33 ms).
    """

    model: Path | str | None = None
    device: DeviceChoice = "auto"
    threads: int | None = None
    healing: HealingMode = "exact"
    max_surprise_bits: float = HealingParams().max_surprise_bits
    max_new_tokens: int = 64
    budget_ms: int = 1500
    debounce_ms: int = 40
    multi_line: MultiLine = "auto"
    min_confidence: float = DEFAULT_CONFIDENCE
    strategy: Strategy = "greedy"
    temperature: float = 1.0
    top_p: float = 1.0
    languages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = SECRETS
    cross_file_context: bool = False
    read_ahead: bool = True
    effort: Effort = "normal"
    cache_mb: int = 256
    speculation: Speculation = "auto"
    remote_url: str = ""
    remote_token_file: Path | None = None
    remote_send_path: bool = False
    trace: TraceLevel = "off"

    @property
    def remote(self) -> Remote | None:
        """The team's service, if the user named one."""
        return Remote(self.remote_url, self.remote_token_file, self.remote_send_path) if self.remote_url else None


@dataclass(frozen=True, slots=True)
class _Setting:
    """One row of the table: the client's name, our field, how a value of the client is checked (ValueError if bad)."""

    name: str
    field: str
    read: Callable[[object], Any]

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.field.upper()


def read_client(raw: object, before: Values = MappingProxyType({})) -> tuple[Values, tuple[str, ...]]:
    """The values of a client's settings object, and what is wrong with it, one line each.

    ``before`` are its earlier values. They stay for settings whose new value cannot be used: a mistake in a list of
    excluded files must not make those files readable.
    """
    if raw is None:
        return {}, ()
    if not isinstance(raw, Mapping):
        return before, (f"the settings are not an object but {_kind(raw)}; they are ignored",)
    named = _flat(raw)
    return _read(named, {s.name: s for s in _SETTINGS}, "setting", before)


def read_environment(environment: Mapping[str, str]) -> tuple[Values, tuple[str, ...]]:
    """The values of the ``MIDTOKEN_*`` variables, and what is wrong with them, one line each."""
    ours = {
        name: _Variable(text.strip()) if text.strip() else None
        for name, text in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    return _read(ours, {s.variable: s for s in _SETTINGS}, "environment variable")


def resolve(*layers: Values) -> Settings:
    """The settings of the layers. For each setting, the first layer that has a value counts."""
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged.update(layer)
    if merged.get("temperature"):
        merged.setdefault("strategy", "sample")  # as on the command line: greedy has no use for a temperature
    return replace(Settings(), **merged)


def _flat(raw: Mapping[Any, object]) -> dict[str, object]:
    """Settings of a group by their whole names: ``{"remote": {"url": …}}`` is ``{"remote.url": …}``."""
    named = {str(name): value for name, value in raw.items()}
    groups = {name.partition(".")[0] for name in NAMES if "." in name}
    for group in groups:
        inside = named.get(group)
        if isinstance(inside, Mapping):
            del named[group]
            named |= {f"{group}.{name}": value for name, value in inside.items()}
    return named


def _read(
    raw: Mapping[str, object], table: Mapping[str, _Setting], what: str, before: Values = MappingProxyType({})
) -> tuple[Values, tuple[str, ...]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in raw.items():
        setting = table.get(name)
        if setting is None:
            problems.append(f"unknown {what} {name[:80]!r}; it is ignored")
        elif value is not None:  # null, as editors send for "not set"
            try:
                values[setting.field] = setting.read(value)
            except (ValueError, MidtokenError) as error:
                if setting.field in before:
                    values[setting.field] = before[setting.field]
                problems.append(f"{what} {name!r}: {error}; it is ignored")
    return values, tuple(problems)


@dataclass(frozen=True, slots=True)
class _Variable:
    """The text of an environment variable. Each reader converts it to the type that it needs."""

    text: str


_YES = ("1", "true", "on", "yes")
_TOO_LARGE = 10**15
MOST_THREADS = 1024
MOST_CACHE_MB = 65_536
_NO = ("0", "false", "off", "no")


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", type(None): "null"}
    return names.get(type(value), "an object")


def _truth(value: object) -> bool:
    if isinstance(value, _Variable):
        word = value.text.lower()
        value = word in _YES if word in _YES + _NO else word
    if not isinstance(value, bool):
        raise ValueError(f"it is {_kind(value)} where true or false belongs")
    return value


def _truth_or_auto(value: object) -> MultiLine:
    word = value.text.lower() if isinstance(value, _Variable) else value
    if word == "auto":
        return "auto"
    if isinstance(word, str) and word not in _YES + _NO:
        raise ValueError(f"it is {word[:80]!r}; it must be auto, true or false")
    return _truth(value)


def _share(value: object) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"it is {number:g}; it must be at least 0 and at most 1")
    return number


def _text(value: object) -> str:
    if isinstance(value, _Variable):
        return value.text
    if not isinstance(value, str):
        raise ValueError(f"it is {_kind(value)} where text belongs")
    return value


def _number(value: object) -> float:
    if isinstance(value, _Variable):
        try:
            value = float(value.text)
        except ValueError as error:
            raise ValueError("it is text where a number belongs") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"it is {_kind(value)} where a number belongs")
    if not abs(value) < _TOO_LARGE:  # not a number is not below it either
        raise ValueError("it is no number of a sensible size")
    return float(value)


def _whole(value: object) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"it is {number:g} where a whole number belongs")
    return int(number)


def _milliseconds(low: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = _whole(value)
        if not low <= number <= 60_000:
            raise ValueError(f"it is {number}; it must be at least {low} and at most 60000")
        return number

    return read


def _threads(value: object) -> int:
    number = _whole(value)
    if not 1 <= number <= MOST_THREADS:
        raise ValueError(f"it is {number}; it must be at least 1 and at most {MOST_THREADS}")
    return number


def _megabytes(value: object) -> int:
    number = _whole(value)
    if not 0 <= number <= MOST_CACHE_MB:
        raise ValueError(f"it is {number}; it must be at least 0 and at most {MOST_CACHE_MB}")
    return number


def _choice(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if _text(value) not in choices:
            raise ValueError(f"it is {_text(value)[:80]!r}; it must be one of {', '.join(choices)}")
        return _text(value)

    return read


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, _Variable):  # the environment has no lists
        value = [part for part in (part.strip() for part in value.text.split(",")) if part]
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"it is {_kind(value)} where a list of texts belongs")
    return tuple(value)


def _model(value: object) -> Path | str | None:
    text = _text(value)
    if not text or (is_name(text) and not looks_like_path(text)):
        return text or None
    return _file(text, "give an absolute one, or a name of 'midtoken models'")


def _url(value: object) -> str:
    text = _text(value).strip()
    return checked_url(text) if text else ""


def _token_file(value: object) -> Path | None:
    text = _text(value)
    return _file(text, "give an absolute one") if text else None


def _file(text: str, advice: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if not path.is_absolute():
        raise ValueError(f"it is a relative path; {advice}")
    return path


def _trace(value: object) -> str:
    # Editors built on the reference client have their own switch at midtoken.trace.server.
    server = value.get("server", "off") if isinstance(value, Mapping) else value
    return _choice(get_args(TraceLevel))(server)


# The engine's parameter classes check these values, so their names and ranges are not repeated here.
_SETTINGS = (
    _Setting("model", "model", _model),
    _Setting("device", "device", _choice(DEVICES)),
    _Setting("threads", "threads", _threads),
    _Setting("healing", "healing", _choice(HEALING_MODES)),
    _Setting(
        "maxSurpriseBits",
        "max_surprise_bits",
        lambda value: HealingParams(max_surprise_bits=_number(value)).max_surprise_bits,
    ),
    _Setting("maxNewTokens", "max_new_tokens", lambda value: StopParams(max_new_tokens=_whole(value)).max_new_tokens),
    _Setting("budgetMs", "budget_ms", _milliseconds(1)),
    _Setting("debounceMs", "debounce_ms", _milliseconds(0)),
    _Setting("multiLine", "multi_line", _truth_or_auto),
    _Setting("minConfidence", "min_confidence", _share),
    _Setting("strategy", "strategy", _choice(STRATEGIES)),
    _Setting("temperature", "temperature", lambda value: SamplingParams(temperature=_number(value)).temperature),
    _Setting("topP", "top_p", lambda value: SamplingParams(top_p=_number(value)).top_p),
    _Setting("languages", "languages", _texts),
    _Setting("exclude", "exclude", _texts),
    _Setting("crossFileContext", "cross_file_context", _truth),
    _Setting("readAhead", "read_ahead", _truth),
    _Setting("effort", "effort", _choice(get_args(Effort))),
    _Setting("cacheMb", "cache_mb", _megabytes),
    _Setting("speculation", "speculation", _choice(SPECULATIONS)),
    _Setting("remote.url", "remote_url", _url),
    _Setting("remote.tokenFile", "remote_token_file", _token_file),
    _Setting("remote.sendPath", "remote_send_path", _truth),
    _Setting("trace", "trace", _trace),
)

NAMES: Mapping[str, str] = MappingProxyType({setting.name: setting.field for setting in _SETTINGS})
"""Names of the settings, as clients write them, to fields of `Settings`."""
