"""Settings: fully defaulted, converted once at the edge, never raising.

They come in layers: what the client says (``workspace/configuration`` over ``initializationOptions``), then the command
line, then ``MIDTOKEN_*`` in the environment, then the defaults here. A value that cannot be used is left out of its
layer and reported by name, so the next layer's value is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, get_args

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
from lsp_server.remote.address import Remote
from lsp_server.setting_values import (
    MultiLine,
    TraceLevel,
    Variable,
    kind_of,
    read_choice,
    read_megabytes,
    read_milliseconds,
    read_model,
    read_number,
    read_share,
    read_texts,
    read_threads,
    read_token_file,
    read_trace,
    read_truth,
    read_truth_or_auto,
    read_url,
    read_whole,
)

SECTION = "midtoken"
ENVIRONMENT_PREFIX = "MIDTOKEN_"

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
        return before, (f"the settings are not an object but {kind_of(raw)}; they are ignored",)
    named = _flat(raw)
    return _read(named, {s.name: s for s in _SETTINGS}, "setting", before)


def read_environment(environment: Mapping[str, str]) -> tuple[Values, tuple[str, ...]]:
    """The values of the ``MIDTOKEN_*`` variables, and what is wrong with them, one line each."""
    ours = {
        name: Variable(text.strip()) if text.strip() else None
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


# The engine's parameter classes check these values, so their names and ranges are not repeated here.
_SETTINGS = (
    _Setting("model", "model", read_model),
    _Setting("device", "device", read_choice(DEVICES)),
    _Setting("threads", "threads", read_threads),
    _Setting("healing", "healing", read_choice(HEALING_MODES)),
    _Setting(
        "maxSurpriseBits",
        "max_surprise_bits",
        lambda value: HealingParams(max_surprise_bits=read_number(value)).max_surprise_bits,
    ),
    _Setting(
        "maxNewTokens", "max_new_tokens", lambda value: StopParams(max_new_tokens=read_whole(value)).max_new_tokens
    ),
    _Setting("budgetMs", "budget_ms", read_milliseconds(1)),
    _Setting("debounceMs", "debounce_ms", read_milliseconds(0)),
    _Setting("multiLine", "multi_line", read_truth_or_auto),
    _Setting("minConfidence", "min_confidence", read_share),
    _Setting("strategy", "strategy", read_choice(STRATEGIES)),
    _Setting("temperature", "temperature", lambda value: SamplingParams(temperature=read_number(value)).temperature),
    _Setting("topP", "top_p", lambda value: SamplingParams(top_p=read_number(value)).top_p),
    _Setting("languages", "languages", read_texts),
    _Setting("exclude", "exclude", read_texts),
    _Setting("crossFileContext", "cross_file_context", read_truth),
    _Setting("readAhead", "read_ahead", read_truth),
    _Setting("effort", "effort", read_choice(get_args(Effort))),
    _Setting("cacheMb", "cache_mb", read_megabytes),
    _Setting("speculation", "speculation", read_choice(SPECULATIONS)),
    _Setting("remote.url", "remote_url", read_url),
    _Setting("remote.tokenFile", "remote_token_file", read_token_file),
    _Setting("remote.sendPath", "remote_send_path", read_truth),
    _Setting("trace", "trace", read_trace),
)

NAMES: Mapping[str, str] = MappingProxyType({setting.name: setting.field for setting in _SETTINGS})
"""Names of the settings, as clients write them, to fields of `Settings`."""
