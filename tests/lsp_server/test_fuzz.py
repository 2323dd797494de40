"""Anything that JSON can express, as a message: the server answers every request and stays up."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import URI, Wire

METHODS = (
    "initialize",
    "initialized",
    "textDocument/didOpen",
    "textDocument/didChange",
    "textDocument/didClose",
    "textDocument/inlineCompletion",
    "textDocument/completion",
    "workspace/didChangeConfiguration",
    "workspace/didChangeWorkspaceFolders",
    "workspace/executeCommand",
    "window/workDoneProgress/cancel",
    "notebookDocument/didOpen",
    "$/cancelRequest",
    "$/setTrace",
    "$/progress",
    "midtoken/unknown",
    "",
)
words = st.sampled_from(("uri", "text", "version", "position", "line", "id", "jsonrpc", "type_name", URI, "midtoken"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(), inner, max_size=4),
    max_leaves=8,
)
document = st.fixed_dictionaries({"uri": st.just(URI) | values, "version": st.just(2) | values})
place = st.fixed_dictionaries({"line": st.integers(-1, 3) | values, "character": st.integers(-1, 5) | values})
plausible = st.fixed_dictionaries(
    {"textDocument": document},
    optional={
        "position": place,
        "contentChanges": st.lists(
            st.fixed_dictionaries({"text": st.text() | values}, optional={"range": st.just({}) | values}), max_size=3
        ),
        "context": st.just({"triggerKind": 1}) | values,
        "settings": values,
    },
)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "method": st.sampled_from(METHODS) | st.text(max_size=5),
        "params": plausible | values,
        "id": st.integers(10_000, 10_009) | st.just("a") | values,
        "result": values,
        "error": values,
    },
)


@settings(max_examples=25, deadline=None)
@given(st.lists(messages | values, min_size=1, max_size=12))
def test_no_message_ends_the_server(sent: list[Any]) -> None:
    asyncio.run(converse(sent))


async def converse(sent: list[Any]) -> None:
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize({"debounceMs": 0})
        wire.open("some text\n")
        for message in sent:
            if not (isinstance(message, dict) and message.get("method") in ("exit", "shutdown")):
                wire.send_json(message)
        wire.open("x")
        assert (await wire.inline(0, 1))[0]["insertText"] == "xone"
        assert not wire.status.done()
