"""Log lines on standard error, and what must never be in them: the text of a document."""

import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from engine import MidtokenError

OWN_LOGGERS = ("lsp_server", "engine")
RECENT_LINES = 500


class PrivateFormatter(logging.Formatter):
    """One line for each record; exceptions as type and place.

    Other packages put messages of the client, and so document text, into the arguments of a record and into the text of
    an exception. So only the literal part of their records is written, and the text only of our own exceptions.
    """

    def format(self, record: logging.LogRecord) -> str:
        own = record.name.partition(".")[0] in OWN_LOGGERS
        text = record.getMessage() if own else str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        reason = "" if error is None else f" ({describe(error)})"
        return f"midtoken {record.levelname.lower()}: {' '.join((text + reason).split())}"


def describe(error: BaseException) -> str:
    """An exception without text that it may quote: type and place, and the message if it is one of ours."""
    if isinstance(error, MidtokenError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


class RecentLines(logging.Handler):
    """The last log lines, for a client that asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(PrivateFormatter())
        self._lines: deque[str] = deque(maxlen=RECENT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        self._lines.append(f"{when} {self.format(record)}")

    @property
    def lines(self) -> list[str]:
        """The lines, oldest first."""
        return list(self._lines)


@contextmanager
def logging_to(stream: TextIO | None = None) -> Iterator[RecentLines]:
    """Send our log and the warnings of others to a stream, standard error by default, until the context ends.

    Yields the handler that keeps the last of these lines.
    """
    handler, recent = logging.StreamHandler(stream or sys.stderr), RecentLines()
    handler.setFormatter(PrivateFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.addHandler(recent)
    # pygls logs whole messages one level below a warning.
    levels = {**dict.fromkeys(OWN_LOGGERS, logging.INFO), "pygls": logging.WARNING}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    # An editor's cancellation often crosses our answer on the way, which is normal.
    quiet = _Without("Cancel notification for unknown message id")
    handler.addFilter(quiet)
    recent.addFilter(quiet)
    try:
        yield recent
    finally:
        root.removeHandler(handler)
        root.removeHandler(recent)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class _Without(logging.Filter):
    """Drops the records of one literal message."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self._start = start

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._start)
