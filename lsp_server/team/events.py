"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): writing and reading them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine import RequestError

LONGEST_LINE = 4 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name and its data, which is one JSON value."""

    name: str
    data: Any


def framed(event: Event) -> bytes:
    """An event as bytes. JSON escapes line breaks, so its data is one line."""
    name = f"event: {event.name}\n" if event.name else ""
    return f"{name}data: {json.dumps(event.data, ensure_ascii=False, allow_nan=False)}\n\n".encode()


def comment() -> bytes:
    """A comment line. Sending it shows whether the client is still connected."""
    return b":\n\n"


@dataclass(slots=True)
class EventReader:
    """Takes the bytes of a stream as they arrive and returns the events that are complete."""

    _rest: bytes = b""
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, data: bytes) -> Iterator[Event]:
        """Add bytes and return the events that are now complete. Raises `RequestError` if the stream holds anything
        else.
        """
        self._rest += data
        while (end := self._rest.find(b"\n")) >= 0:
            line, self._rest = self._rest[:end].rstrip(b"\r"), self._rest[end + 1 :]
            event = self._line(line)
            if event is not None:
                yield event
        if len(self._rest) > LONGEST_LINE:
            raise RequestError("an event is longer than any answer can be; is this a service of Midtoken?")

    def _line(self, line: bytes) -> Event | None:
        try:
            if line:
                name, _, value = line.decode().partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    self._name = value
                elif name == "data":
                    self._data.append(value)
                return None
            data, name, self._data, self._name = "\n".join(self._data), self._name, [], ""
            return Event(name, json.loads(data)) if data else None
        except (ValueError, RecursionError):
            raise RequestError("an event is no JSON in UTF-8; is this a service of Midtoken?") from None
