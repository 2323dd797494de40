"""The address of the service, and the file with its token."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Remote:
    """The user's settings. ``sends_path`` allows sending the document's path in its repository and the repository's
    name.
    """

    url: str
    token_file: Path | None = None
    sends_path: bool = False


def checked_url(text: str) -> str:
    """Return the address without a final slash. Raises ValueError; its text says what is wrong."""
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
