"""Bearer tokens (RFC 6750): who asks, which models they may use, and how much.

Only digests are kept, and they are compared in constant time. A file is read again when it changes. To revoke a token,
remove its file or write another token into it.
"""

import hashlib
import hmac
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine import RequestError
from lsp_server.team.config import TokenConfig, is_digest
from lsp_server.team.protocol import Refusal

log = logging.getLogger(__name__)

LEAST_CHARACTERS = 16
LONGEST_TOKEN = 4096
LOOK_S = 1.0
"""How long a token may still be accepted after its file was removed."""
_DIGEST = "sha256:"
_ANYBODY = TokenConfig("anybody", requests_per_second=math.inf, concurrent=1 << 30)


@dataclass(slots=True)
class Bearer:
    """The user of one token, and what they used: a token bucket that fills with ``requests_per_second`` requests."""

    config: TokenConfig
    filled: float
    at_s: float
    ongoing: int = 0

    def may_use(self, model: str) -> bool:
        """Whether the token may use that model."""
        return not self.config.models or model in self.config.models


@dataclass(slots=True)
class _Known:
    digest: bytes = b""
    stamp: tuple[int, int, int] | None = None
    looked_s: float = -math.inf


@dataclass(slots=True)
class Tokens:
    """All tokens of the service. Without any, everybody on this machine may ask; `check_exposed` makes sure of that
    limit.
    """

    configs: tuple[TokenConfig, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)
    _bearers: dict[str, Bearer] = field(default_factory=dict)

    def check(self) -> None:
        """Raises `RequestError` for a token that cannot be read when the service starts."""
        for config in self.configs:
            if not self._digest(config):
                place = config.file or f"the environment variable {config.environment}"
                raise RequestError(
                    f"tokens: that of {config.name} is not in {place}, or has fewer than {LEAST_CHARACTERS} characters"
                )

    def bearer(self, authorization: str | None) -> Bearer:
        """The user of the token in the header. Raises `Refusal`."""
        if not self.configs:
            return self._of(_ANYBODY)
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Refusal("unauthorised", "no token was sent; send the header Authorization: Bearer TOKEN")
        shown = _digest_of(token.strip()[:LONGEST_TOKEN])
        found: TokenConfig | None = None
        for config in self.configs:  # compare all of them, so that the time does not tell which one matched
            known = self._digest(config)
            if hmac.compare_digest(shown, known or b"\0" * 32) and known:
                found = config
        if found is None:
            raise Refusal("unauthorised", "the token is not known here; ask whoever runs the service for one")
        return self._of(found)

    @contextmanager
    def admitted(self, bearer: Bearer) -> Iterator[None]:
        """Count one request while it runs. Raises `Refusal` if it is one too many."""
        config, now = bearer.config, self.clock()
        rate, most = config.requests_per_second, max(1.0, config.requests_per_second)
        if not math.isinf(rate):
            bearer.filled = min(most, bearer.filled + (now - bearer.at_s) * rate)
        bearer.at_s = now
        if bearer.filled < 1.0:
            raise Refusal("too-many", f"more than {rate:g} requests a second; wait", (1.0 - bearer.filled) / rate)
        if bearer.ongoing >= config.concurrent:
            raise Refusal("too-many", f"{config.concurrent} requests are under way already; wait for one", 0.1)
        bearer.filled -= 1.0
        bearer.ongoing += 1
        try:
            yield
        finally:
            bearer.ongoing -= 1

    def _of(self, config: TokenConfig) -> Bearer:
        full = max(1.0, config.requests_per_second)
        return self._bearers.setdefault(config.name, Bearer(config, full, self.clock()))

    def _digest(self, config: TokenConfig) -> bytes:
        if config.sha256:
            return bytes.fromhex(config.sha256)
        if config.environment:
            return _digest_in(self.environment.get(config.environment, ""))
        assert config.file is not None
        known = self._known.setdefault(config.name, _Known())
        now = self.clock()
        if now - known.looked_s >= LOOK_S:
            known.looked_s = now
            _look(known, config.file)
        return known.digest


def _look(known: _Known, path: Path) -> None:
    """Read a token's file again if it has changed."""
    try:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == known.stamp:
            return
        known.stamp = stamp
        with path.open("rb") as file:
            known.digest = _digest_in(file.read(LONGEST_TOKEN).decode("ascii"))
    except (OSError, ValueError):
        if known.digest:
            log.warning("a token's file cannot be read any more; the token is refused")
        known.digest, known.stamp = b"", None


def _digest_in(text: str) -> bytes:
    """The digest of a token, or the digest that the text gives after ``sha256:``; empty for a text that is neither."""
    text = text.strip()
    if text.startswith(_DIGEST):
        digest = text.removeprefix(_DIGEST).lower()
        return bytes.fromhex(digest) if is_digest(digest) else b""
    return _digest_of(text) if len(text) >= LEAST_CHARACTERS else b""


def _digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
