"""Where the service is, and the token that is shown to it."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Remote:
    """What the user chose. ``sends_path`` lets the document's name in its repository leave, and the name of that."""

    url: str
    token_file: Path | None = None
    sends_path: bool = False


def checked_url(text: str) -> str:
    """The address without a final slash. Raises ValueError, whose text says what is wrong."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no address; write https://HOST:PORT") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not text.isascii():
        raise ValueError(f"{text[:80]!r} is no address of a service; write https://HOST:PORT")
    if parts.username is not None or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("it may hold a host, a port and a path; the token belongs into remote.tokenFile")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("code would travel in the clear; write https://, or use a loopback address")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
