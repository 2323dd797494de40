"""What is registered, and when, with clients that allow dynamic registration."""

import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, Wire

pytestmark = pytest.mark.asyncio
INLINE, LIST = "textDocument/inlineCompletion", "textDocument/completion"
REGISTER, UNREGISTER = "client/registerCapability", "client/unregisterCapability"


def capabilities(*dynamic: str) -> dict[str, object]:
    offered = {name: {"dynamicRegistration": name in dynamic} for name in ("inlineCompletion", "completion")}
    return {**CAPABILITIES, "textDocument": {**CAPABILITIES["textDocument"], **offered}}


def registered(wire: Wire) -> dict[str, object]:
    """The registered completion methods, with their languages."""
    now: dict[str, object] = {}
    for asked in wire.asked:
        if asked["method"] == UNREGISTER:
            for gone in asked["params"]["unregisterations"]:
                del now[gone["method"]]
        elif asked["method"] == REGISTER:
            for new in asked["params"]["registrations"]:
                assert new["method"] not in now, "it must not be registered twice"
                selector = new["registerOptions"].get("documentSelector")
                now[new["method"]] = selector and [filter_["language"] for filter_ in selector]
    now.pop("workspace/didChangeConfiguration", None)
    return now


async def test_a_client_that_registers_is_registered_with():
    async with Wire(FakeCompleter().load) as wire:
        result = await wire.initialize(capabilities=capabilities("inlineCompletion", "completion"))
        assert "inlineCompletionProvider" not in result["capabilities"]
        assert "completionProvider" not in result["capabilities"]
        wire.open("x")
        assert await wire.inline(0, 1) != []
        assert (await wire.classic(0, 1))["items"] != []
        assert registered(wire) == {INLINE: None, LIST: None}


async def test_what_cannot_be_registered_is_advertised():
    async with Wire(FakeCompleter().load) as wire:
        result = await wire.initialize(capabilities=capabilities("inlineCompletion"))
        assert "inlineCompletionProvider" not in result["capabilities"]
        assert result["capabilities"]["completionProvider"]["triggerCharacters"] == ["."]
        await wire.until(lambda: registered(wire) == {INLINE: None})


async def test_it_is_registered_for_the_languages_of_the_settings():
    async with Wire(FakeCompleter().load, {"languages": ["python", "rust"]}) as wire:
        await wire.initialize(capabilities=capabilities("inlineCompletion", "completion"))
        await wire.until(lambda: any(asked["method"] == REGISTER and INLINE in str(asked) for asked in wire.asked))
        assert registered(wire) == {INLINE: ["python", "rust"], LIST: ["python", "rust"]}
        wire.configuration = {"languages": ["python", "rust"], "debounceMs": 1}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        wire.configuration = {"languages": []}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: registered(wire) == {INLINE: None, LIST: None})
        assert sum(asked["method"] == UNREGISTER for asked in wire.asked) == 1


async def test_a_client_that_registers_nothing_is_told_at_the_start():
    async with Wire(FakeCompleter().load) as wire:
        result = await wire.initialize(capabilities=capabilities())
        assert "inlineCompletionProvider" in result["capabilities"]
        wire.open("x")
        assert await wire.inline(0, 1) != []
        assert registered(wire) == {}
