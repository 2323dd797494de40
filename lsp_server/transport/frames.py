"""Message framing: splits a stream of bytes at ``Content-Length`` headers."""

import logging
import re
from typing import BinaryIO

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 1 << 16
MAX_BODY_BYTES = 1 << 26
"""Longest body of a message; more than all documents that are kept."""
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})[ \t]*\r?\n$", re.IGNORECASE)
_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*\r?\n$")


def read_frame(stream: BinaryIO) -> bytes | None:
    """The body of the next message; None at the end of the stream, also in the middle of a message.

    Malformed input is logged. Reading then continues at the next ``Content-Length``, even if it directly follows the
    body of a message that had none.
    """
    length: int | None = None
    while line := stream.readline(MAX_HEADER_BYTES):
        match = _LENGTH.search(line)
        if match is not None:
            length = int(match[1])
        if not line.strip(b"\r\n"):
            if length is not None and length <= MAX_BODY_BYTES:
                return _read_body(stream, length)
            what = "no Content-Length" if length is None else f"more than {MAX_BODY_BYTES} bytes"
            log.warning("a message has %s; it is skipped", what)
            length = None
        elif match.start() > 0 if match else not _HEADER.match(line):
            log.warning("there is something that is no header where a message should begin; it is skipped")
    return None


def _read_body(stream: BinaryIO, length: int) -> bytes | None:
    body = stream.read(length)
    return body if len(body) == length else None


def framed(body: bytes) -> bytes:
    """A body with its header in front."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
