"""A client may say anything of itself, in fields that are read and fields that are not. It is served all the same."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types

from lsp_server.messages.introduction import introduction
from lsp_server.state import Client
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, Wire

FULL: dict[str, Any] = {
    "processId": None,
    "clientInfo": {"name": "Editor", "version": "1"},
    "locale": "en",
    "rootPath": "/project",
    "rootUri": "file:///project",
    "trace": "off",
    "workspaceFolders": [{"uri": "file:///project", "name": "project"}],
    "initializationOptions": {"budgetMs": 700},
    "capabilities": {
        "workspace": {
            "applyEdit": True,
            "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"], "failureHandling": "abort"},
            "symbol": {"symbolKind": {"valueSet": [1, 26]}, "tagSupport": {"valueSet": [1]}},
            "executeCommand": {"dynamicRegistration": True},
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": True},
        },
        "textDocument": {
            "publishDiagnostics": {"tagSupport": {"valueSet": [1, 2]}, "versionSupport": True},
            "completion": {
                "dynamicRegistration": True,
                "completionItem": {"documentationFormat": ["markdown", "plaintext"], "snippetSupport": True},
                "completionItemKind": {"valueSet": [1, 25]},
            },
            "inlineCompletion": {"dynamicRegistration": True},
            "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": [""]}}},
            "hover": {"contentFormat": ["markdown"]},
        },
        "notebookDocument": {"synchronization": {"executionSummarySupport": True}},
        "window": {"workDoneProgress": True, "showMessage": {"messageActionItem": {}}},
        "general": {
            "positionEncodings": ["utf-8", "utf-16"],
            "markdown": {"parser": "x"},
            "regularExpressions": {"engine": "x"},
        },
        "experimental": {"midtokenStatus": True, "midtokenMoreText": True},
    },
}


def paths(value: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values in a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for name, below in inner for path in paths(below, (*here, name)))]


def with_at(path: tuple[Any, ...], new: object) -> object:
    if not path:
        return new
    changed = copy.deepcopy(FULL)
    inner: Any = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = new
    return changed


ODD: tuple[Any, ...] = (None, True, -1, 27, 2**40, 0.5, "", "on", [], [[]], [-1], ["?"], {}, {"valueSet": 3})


def test_what_is_read_is_read():
    read = introduction(FULL)
    assert read.client_info == types.ClientInfo("Editor")
    assert read.initialization_options == {"budgetMs": 700}
    methods = frozenset((types.TEXT_DOCUMENT_COMPLETION, types.TEXT_DOCUMENT_INLINE_COMPLETION))
    assert Client.of(read.capabilities, "Editor") == Client("utf-8", True, True, True, True, True, True, True, methods)


@pytest.mark.parametrize("path", paths(FULL), ids=lambda path: ".".join(map(str, path)))
def test_nothing_that_is_odd_is_refused(path):
    for odd in ODD:
        Client.of(introduction(with_at(path, odd)).capabilities)


@pytest.mark.parametrize("params", [None, [], 3, {}, {"capabilities": None}, {"capabilities": [1]}, {"processId": -4}])
def test_a_client_may_say_nothing(params):
    read = introduction(params)
    assert (read.process_id, Client.of(read.capabilities)) == (None, Client("utf-16"))


@settings(max_examples=200)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_anything_may_stand_for_the_whole(value):
    introduction(json.loads(json.dumps(value)))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "more",
    [
        {"textDocument": {**CAPABILITIES["textDocument"], "publishDiagnostics": {"tagSupport": {"valueSet": [-1]}}}},
        {"textDocument": {**CAPABILITIES["textDocument"], "publishDiagnostics": {"tagSupport": True}}},
        {"workspace": {**CAPABILITIES["workspace"], "symbol": {"symbolKind": {"valueSet": [27]}}}},
        {"textDocument": {**CAPABILITIES["textDocument"], "codeAction": {"codeActionLiteralSupport": {}}}},
        {"general": {"markdown": {}}},
    ],
    ids=repr,
)
async def test_a_session_with_odd_capabilities(more):
    async with Wire(FakeCompleter().load) as wire:
        params = {"capabilities": {**CAPABILITIES, **more}, "trace": "on", "clientInfo": {}, "rootUri": 7}
        assert "capabilities" in await wire.request(types.INITIALIZE, params)
        wire.notify(types.INITIALIZED)  # without parameters, as JSON-RPC allows
        wire.open("x")
        assert (await wire.inline(0, 1))[0]["insertText"] == "xone"
