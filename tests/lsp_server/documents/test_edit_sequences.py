"""Random edit sequences, as messages: the server's text always equals the text of a simple client.

An ordinary run tries a few hundred of them, ``--hypothesis-profile=thorough`` (``make test-thorough``) ten thousand.
The simple client is a plain string and reads positions exactly by the protocol, one code unit after the other.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.dispatch import Dispatcher
from lsp_server.documents.documents import Document
from lsp_server.documents.positions import PositionEncoding
from lsp_server.server import create_server
from lsp_server.transport.connection import Connection
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.texts import encodings, slow_index, slow_lines, texts

URI = "file:///project/a.py"
FAR = 2**31 - 1
# Mostly near the text; sometimes past every end, as from a client that counts differently.
lines = st.integers(0, 6) | st.sampled_from((7, 40, FAR))
characters = st.integers(0, 12) | st.sampled_from((13, 100, FAR))
places = st.builds(types.Position, lines, characters)
# UTF-8 cannot encode half a character. But JSON can carry it, and clients with UTF-16 strings send it.
halves = st.sampled_from(("\ud83d", "\ude00", "x\ud83d", "\ude00\r"))
inserted = texts | st.sampled_from(("", "", "a", "\r", "\n", "\r\n")) | halves


@st.composite
def ranges(draw: st.DrawFn) -> tuple[types.Position, types.Position, str]:
    """A range, possibly with its ends swapped, and its new text."""
    start = draw(places)
    end = draw(places) if draw(st.booleans()) else start
    return start, end, draw(inserted)


# Sometimes a whole text.
changes = st.integers(0, 19).flatmap(lambda number: ranges() if number else texts)


class Model:
    """The client's text: a string, edited at the place that the protocol gives for a position."""

    def __init__(self, text: str, encoding: PositionEncoding) -> None:
        self.text = text
        self._encoding = encoding

    def change(self, change: tuple[types.Position, types.Position, str] | str) -> None:
        if isinstance(change, str):
            self.text = change
            return
        first, second = (slow_index(self.text, place, self._encoding) for place in change[:2])
        self.text = self.text[: min(first, second)] + change[2] + self.text[max(first, second) :]


class Server:
    """The server behind its framing: it takes messages as bytes; its documents can be compared."""

    def __init__(self, encoding: PositionEncoding) -> None:
        self._server = create_server({}, {}, FakeCompleter().load)
        connection = Connection(io.BytesIO(), io.BytesIO())
        self._server.state.begun = True  # no event loop runs here that could load a model or read ahead
        self._server.protocol.set_writer(connection)
        self._dispatcher = Dispatcher(self._server, connection)
        capabilities = {"general": {"positionEncodings": [encoding]}}
        options = {"readAhead": False}
        introduction = {
            "processId": None,
            "rootUri": None,
            "capabilities": capabilities,
            "initializationOptions": options,
        }
        self.send("initialize", introduction, id=1)

    def send(self, method: str, params: dict[str, Any], **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        assert self._dispatcher.handle(json.dumps(message).encode("ascii")) is None

    def open(self, text: str) -> None:
        document = {"uri": URI, "languageId": "python", "version": 0, "text": text}
        self.send("textDocument/didOpen", {"textDocument": document})

    def change(self, version: int, made: Sequence[tuple[types.Position, types.Position, str] | str]) -> None:
        document = {"uri": URI, "version": version}
        self.send("textDocument/didChange", {"textDocument": document, "contentChanges": [*map(as_json, made)]})

    @property
    def document(self) -> Document:
        return self._server.state.documents[URI]

    def close(self) -> None:
        self._server.state.model.close(5)


def as_json(change: tuple[types.Position, types.Position, str] | str) -> dict[str, Any]:
    if isinstance(change, str):
        return {"text": change}
    start, end = ({"line": place.line, "character": place.character} for place in change[:2])
    return {"range": {"start": start, "end": end}, "text": change[2]}


@pytest.fixture(scope="module")
def servers():
    made = {encoding: Server(encoding) for encoding in ("utf-8", "utf-16", "utf-32")}
    yield made
    for server in made.values():
        server.close()


@settings(max_examples=max(300, settings().max_examples))
@given(encodings, texts, st.lists(st.lists(changes, min_size=1, max_size=4), min_size=1, max_size=8))
def test_the_servers_text_is_the_clients(servers, encoding, text, sequence):
    model, server = Model(text, encoding), servers[encoding]
    server.open(text)
    for version, made in enumerate(sequence, 1):
        server.change(version, made)
        for change in made:
            model.change(change)
        document = server.document
        assert (document.text, document.version) == (model.text, version)
        assert [document.line_span(line) for line in range(document.lines)] == [
            (start, end) for start, end, _ in slow_lines(model.text)
        ]
    event(f"{encoding}, {len(sequence)} notifications")


@settings(max_examples=200)
@given(
    encodings, st.lists(texts, max_size=6).map("\n".join), st.lists(ranges(), min_size=16, max_size=40), st.booleans()
)
def test_many_changes_in_one_notification(servers, encoding, text, made, last_first):
    """From sixteen changes on, the server tries to apply them in one pass. It often can if the last one comes first."""
    if last_first:
        made = sorted(made, key=lambda change: (change[0].line, change[0].character), reverse=True)
    model, server = Model(text, encoding), servers[encoding]
    server.open(text)
    server.change(1, made)
    for change in made:
        model.change(change)
    assert server.document.text == model.text
