import asyncio
import os

import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, TIMEOUT_S, Wire, WireError, connected

pytestmark = pytest.mark.asyncio


async def test_the_capabilities():
    async with Wire(FakeCompleter().load) as wire:
        result = await wire.initialize()
        offered = result["capabilities"]
        assert offered["positionEncoding"] == "utf-16"
        assert offered["textDocumentSync"]["openClose"] is True
        assert offered["textDocumentSync"]["change"] == 2
        assert "inlineCompletionProvider" in offered
        assert offered["completionProvider"] == {"triggerCharacters": ["."], "resolveProvider": True}
        assert result["serverInfo"]["name"] == "midtoken"


async def test_exit_after_shutdown_is_clean():
    async with connected() as wire:
        assert await wire.request("shutdown") is None
        with pytest.raises(WireError) as caught:
            await wire.inline(0, 0)
        assert caught.value.code == -32600
        wire.open("ignored")
        wire.notify("exit")
        assert await asyncio.wait_for(wire.status, TIMEOUT_S) == 0


async def test_exit_without_shutdown_is_not():
    async with connected() as wire:
        wire.notify("exit")
        assert await asyncio.wait_for(wire.status, TIMEOUT_S) == 1


@pytest.mark.parametrize("shut_down", [False, True])
async def test_the_end_of_the_stream_ends_the_server(shut_down):
    async with connected() as wire:
        if shut_down:
            await wire.request("shutdown")
        wire.writer.write_eof()
        assert await asyncio.wait_for(wire.status, TIMEOUT_S) == (0 if shut_down else 1)


async def test_shutdown_answers_what_is_open():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        _, answer = await wire.running(fake)
        await wire.request("shutdown")
        with pytest.raises(WireError) as caught:
            await asyncio.wait_for(answer, TIMEOUT_S)
        assert caught.value.code == -32800
        await wire.until(lambda: fake.cancelled == 1)


async def test_the_parent_is_watched(monkeypatch):
    watched: list[int] = []
    monkeypatch.setattr("lsp_server.features.lifecycle.watch_parent", lambda number, _: watched.append(number))
    async with Wire(FakeCompleter().load) as wire:
        await wire.request("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": {}})
        assert watched == [os.getpid()]


async def test_a_client_that_never_says_that_it_is_ready_gets_its_completions():
    async with Wire(FakeCompleter().load) as wire:
        await wire.request("initialize", {"capabilities": CAPABILITIES})
        wire.open("x")
        assert (await wire.inline(0, 1))[0]["insertText"] == "xone"
        wire.notify("initialized", {})
        assert (await wire.inline(0, 1))[0]["insertText"] == "xone"
        assert len([asked for asked in wire.asked if asked["method"] == "workspace/configuration"]) == 1


async def test_what_fails_at_the_start_is_told(monkeypatch):
    monkeypatch.setattr("lsp_server.features.lifecycle.register", None)
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        await wire.until(lambda: wire.messages())
        assert "there may be no completions" in wire.messages()[0]
