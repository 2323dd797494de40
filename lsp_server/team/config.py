"""Read ``midtoken-team.yaml``: models, tokens and limits of the service. ``docs/team.md`` has the table.

The file may also be one for ``serve deploy``. The members then stand below ``applications: [{args: ...}]``.
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from engine import DEVICES, DeviceChoice, RequestError, reason_of
from lsp_server.models.names import is_name, looks_like_path
from lsp_server.team.fields import Fields
from lsp_server.team.protocol import Bounds

DEFAULT_PORT = 8440
LARGEST_FILE = 1 << 20
MOST_REPLICAS = 4096
_BODY_BYTES = 2 << 20
_MOST_MB = 1 << 24


@dataclass(frozen=True, slots=True)
class Autoscale:
    """The number of replicas follows the load, from ``least`` to ``most``: ``ongoing`` requests for each replica."""

    least: int
    most: int
    ongoing: float


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of the service. ``model`` is a name of ``midtoken models`` or a path. Clients call the model ``name``.

    A replica works on ``concurrent`` requests at a time, and ``waiting`` more wait there. Beyond that the next replica
    is asked; if all are full, the client is told to try again later. ``cpus`` and ``gpus`` are what Ray reserves for
    each replica; ``gpus`` may be a fraction. ``memory_mb`` is for the keys and values of the requests that it works on,
    ``parked_mb`` for those of other documents (None: `replica.parked_mb` decides).
    """

    name: str
    model: str
    replicas: int = 1
    autoscale: Autoscale | None = None
    device: DeviceChoice = "auto"
    cpus: float = 1.0
    gpus: float = 0.0
    threads: int | None = None
    context_tokens: int = 2048
    concurrent: int = 8
    waiting: int = 16
    memory_mb: int = 2048
    parked_mb: int | None = None

    @property
    def most_replicas(self) -> int:
        """How many replicas there may be at once."""
        return self.replicas if self.autoscale is None else self.autoscale.most


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """One user of the service. Exactly one of three members gives the token: ``file`` holds it (or ``sha256:`` and its
    digest), ``sha256`` is its digest, ``environment`` names a variable with either. Without ``models`` it may use all
    models.
    """

    name: str
    file: Path | None = None
    sha256: str = ""
    environment: str = ""
    models: tuple[str, ...] = ()
    requests_per_second: float = 20.0
    concurrent: int = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one request. ``body_s`` is the time in which its body must have arrived."""

    body_bytes: int = _BODY_BYTES
    body_s: float = 10.0
    connections: int = 4096
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class TeamConfig:
    """The whole file. ``proxy`` states that TLS ends at a proxy in front of the service."""

    models: tuple[ModelConfig, ...]
    tokens: tuple[TokenConfig, ...] = ()
    limits: Limits = field(default_factory=Limits)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    certificate: Path | None = None
    key: Path | None = None
    proxy: bool = False


_MODEL = tuple(ModelConfig.__dataclass_fields__)
_TOKEN = tuple(TokenConfig.__dataclass_fields__)
_LIMITS = ("body_bytes", "body_s", "connections", "max_new_tokens", "candidates", "budget_ms")
_TOP = ("models", "tokens", "limits", "host", "port", "certificate", "key", "proxy")


def read_file(path: Path) -> TeamConfig:
    """Read the configuration from a file. Raises `RequestError`, in one line."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise RequestError(f"{path} is no configuration: it is larger than a megabyte")
        return read_config(_parsed(data.decode("utf-8-sig"), path))
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not UTF-8; save it so") from None
    except OSError as error:
        raise RequestError(f"cannot read {path}: {reason_of(error)}; name the file with --config") from None


def read_config(value: object) -> TeamConfig:
    """Read the configuration from the content of a file, or from the arguments of a Serve application. Raises
    `RequestError`.
    """
    if isinstance(value, dict) and isinstance(value.get("applications"), list) and value["applications"]:
        value = Fields(value["applications"][0], "applications").member("args")
    fields = Fields(value, "midtoken-team.yaml", _TOP)
    models = tuple(_model(each) for each in fields.elements("models", 256))
    tokens = tuple(_token(each) for each in fields.elements("tokens", 100_000))
    if not models:
        raise RequestError("midtoken-team.yaml: models is empty; write models: [{name: bundled}]")
    _require_distinct("models", [model.name for model in models])
    _require_distinct("tokens", [token.name for token in tokens])
    known = {model.name for model in models}
    for token in tokens:
        for name in token.models:
            if name not in known:
                raise RequestError(f"tokens: {token.name} may use {name!r}, which is no model of this file")
    return TeamConfig(
        models,
        tokens,
        _limits(fields.member("limits") or {}),
        fields.text("host", "127.0.0.1"),
        fields.whole("port", DEFAULT_PORT, 0, 65535),
        _path(fields, "certificate"),
        _path(fields, "key"),
        fields.truth("proxy", False),
    )


def check_exposed(config: TeamConfig) -> None:
    """Raises `RequestError` for a service that others could reach without a token or without encryption."""
    if (config.certificate is None) != (config.key is None):
        raise RequestError("certificate and key go together; give both files, or neither")
    for file in (config.certificate, config.key):
        if file is not None and not file.is_file():
            raise RequestError(f"{file} is no file; certificate and key must be files in PEM format")
    if is_loopback(config.host):
        return
    if not config.tokens:
        raise RequestError(f"host is {config.host}, which others can reach: give tokens, or listen on 127.0.0.1")
    if config.certificate is None and not config.proxy:
        raise RequestError(
            f"host is {config.host}, and code would travel in the clear: give certificate and key, or state proxy: true"
            " where a proxy in front ends TLS"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parsed(text: str, path: Path) -> object:
    try:
        import yaml  # installed with the extra "team"
    except ImportError:
        raise RequestError("the team's service is not installed; pip install 'midtoken[team]'") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise RequestError(f"{path} is no YAML{where}; see the example in docs/team.md") from None


def _model(value: object) -> ModelConfig:
    fields = Fields(value, "models", _MODEL)
    name = fields.text("name", None, 200)
    model = fields.text("model", name)
    if not is_name(name):
        raise RequestError(f"models: {name[:60]!r} is no name that clients can say; give it one, and its path as model")
    if not (is_name(model) or looks_like_path(model)):
        raise RequestError(f"models: {model[:60]!r} is neither a name of 'midtoken models' nor a path")
    autoscale = None
    concurrent = fields.whole("concurrent", 8, 1, 1024)
    if fields.has("autoscale"):
        if fields.has("replicas"):
            raise RequestError(f"models: {name} has replicas and autoscale; leave one of them out")
        autoscale = _autoscale(fields.member("autoscale"), concurrent)
    device: DeviceChoice = fields.choice("device", DEVICES, "auto")
    return ModelConfig(
        name,
        model,
        fields.whole("replicas", 1, 1, MOST_REPLICAS),
        autoscale,
        device,
        fields.number("cpus", 1.0, 0.0, 1024.0),
        fields.number("gpus", 0.0, 0.0, 64.0),
        fields.whole("threads", low=1, high=1024) if fields.has("threads") else None,
        fields.whole("context_tokens", 2048, 64, 1 << 20),
        concurrent,
        fields.whole("waiting", 2 * concurrent, 0, 4096),
        fields.whole("memory_mb", 2048, 1, _MOST_MB),
        fields.whole("parked_mb", low=0, high=_MOST_MB) if fields.has("parked_mb") else None,
    )


def _autoscale(value: object, concurrent: int) -> Autoscale:
    fields = Fields(value, "autoscale", ("min", "max", "ongoing"))
    least = fields.whole("min", 1, 0, MOST_REPLICAS)
    most = fields.whole("max", None, max(least, 1), MOST_REPLICAS)
    return Autoscale(least, most, fields.number("ongoing", float(concurrent), 0.1, 4096.0))


def _token(value: object) -> TokenConfig:
    fields = Fields(value, "tokens", _TOKEN)
    name = fields.text("name", None, 200)
    given = [kind for kind in ("file", "sha256", "environment") if fields.has(kind)]
    if len(given) != 1:
        raise RequestError(f"tokens: {name[:60]!r} needs exactly one of file, sha256 and environment")
    digest = fields.text("sha256", "").lower()
    if digest and not is_digest(digest):
        raise RequestError(f"tokens: sha256 of {name[:60]!r} must be 64 hexadecimal digits; see 'sha256sum'")
    return TokenConfig(
        name,
        _path(fields, "file"),
        digest,
        fields.text("environment", ""),
        fields.texts("models"),
        fields.number("requests_per_second", 20.0, 0.001, 100_000.0),
        fields.whole("concurrent", 8, 1, 100_000),
    )


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 digest in hexadecimal."""
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)


def _limits(value: object) -> Limits:
    fields = Fields(value, "limits", _LIMITS)
    bounds = Bounds()
    return Limits(
        fields.whole("body_bytes", _BODY_BYTES, 1024, 1 << 30),
        fields.number("body_s", 10.0, 0.1, 600.0),
        fields.whole("connections", 4096, 1, 1 << 20),
        Bounds(
            fields.whole("max_new_tokens", bounds.max_new_tokens, 1, 4096),
            fields.whole("candidates", bounds.candidates, 1, 64),
            fields.number("budget_ms", bounds.budget_ms, 1.0, 600_000.0),
        ),
    )


def _path(fields: Fields, name: str) -> Path | None:
    return Path(fields.text(name)).expanduser() if fields.has(name) else None


def _require_distinct(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RequestError(f"{what}: {name!r} is there twice; give each its own name")
