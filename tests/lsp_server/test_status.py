"""The status notification, over the wire: what a status bar sees."""

import threading

import pytest

from engine import ModelFolderError
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, Wire

pytestmark = pytest.mark.asyncio
STATUS = {**CAPABILITIES, "experimental": {"midtokenStatus": True}}


def statuses(wire: Wire) -> list[dict[str, object]]:
    return [told["params"] for told in wire.told if told["method"] == "midtoken/status"]


def states(wire: Wire) -> list[object]:
    return [status["state"] for status in statuses(wire)]


async def run(wire: Wire, name: str) -> None:
    await wire.request("workspace/executeCommand", {"command": f"midtoken.server.{name}"})


async def test_loading_ready_busy_ready():
    gate, fake = threading.Event(), FakeCompleter()

    def load(model_dir=None, *, device="auto", threads=None):
        assert gate.wait(5)
        return fake

    async with Wire(load) as wire:
        await wire.initialize(capabilities=STATUS)
        await wire.until(lambda: states(wire) == ["loading"])
        assert statuses(wire)[0] == {
            "state": "loading", "message": None, "model": None, "device": None, "latencyMs": None,
        }  # fmt: skip
        gate.set()
        await wire.until(lambda: states(wire) == ["loading", "ready"])
        wire.open("x")
        assert await wire.inline(0, 1) != []
        await wire.until(lambda: states(wire) == ["loading", "ready", "busy", "ready"])
        last = statuses(wire)[-1]
        assert (last["model"], last["device"]) == ("fake", "cpu")
        assert isinstance(last["latencyMs"], float)
        await wire.inline(0, 1)
        assert len(states(wire)) == 4, "an answer that needs no model is no news"


async def test_the_model_has_the_name_by_which_it_is_chosen():
    """A model of the table is shown with its name there; a folder with the name in its manifest."""
    async with Wire(FakeCompleter().load, {"model": "qwen2.5-coder:0.5b"}) as wire:
        await wire.initialize(capabilities=STATUS)
        for model, name in (("", "fake"), ("/models/x", "fake"), ("bundled", "bundled")):
            await wire.until(lambda: states(wire)[-1:] == ["ready"])
            before = len(states(wire))
            wire.configuration = {"model": model}
            wire.notify("workspace/didChangeConfiguration", {"settings": None})
            await wire.until(lambda at=before: states(wire)[at:] == ["loading", "ready"])
            assert statuses(wire)[-1]["model"] == name
        assert [status["model"] for status in statuses(wire)[:3]] == [None, "qwen2.5-coder:0.5b", "qwen2.5-coder:0.5b"]


async def test_clients_that_do_not_ask_for_it_get_none():
    for experimental in (None, {}, {"midtokenStatus": 1}, [True], "midtokenStatus"):
        async with Wire(FakeCompleter().load) as wire:
            await wire.initialize(capabilities={**CAPABILITIES, "experimental": experimental})
            wire.open("x")
            assert await wire.inline(0, 1) != []
            assert statuses(wire) == []


async def test_off_when_disabled_by_the_command():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize(capabilities=STATUS)
        await wire.until(lambda: states(wire)[-1:] == ["ready"])
        await run(wire, "disable")
        await run(wire, "disable")
        await wire.until(lambda: states(wire)[-2:] == ["ready", "off"])
        await run(wire, "enable")
        await wire.until(lambda: states(wire)[-2:] == ["off", "ready"])


async def test_a_model_that_cannot_be_loaded_is_an_error_with_its_reason():
    def load(model_dir=None, *, device="auto", threads=None):
        if model_dir is None:
            raise ModelFolderError("no model folder here")
        return FakeCompleter()

    async with Wire(load) as wire:
        await wire.initialize(capabilities=STATUS)
        await wire.until(lambda: states(wire) == ["loading", "error"])
        assert statuses(wire)[-1]["message"] == "no model folder here"
        wire.configuration = {"model": "/good"}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: states(wire) == ["loading", "error", "loading", "ready"])
        assert statuses(wire)[-1]["message"] is None


async def test_an_engine_that_fails_is_an_error_until_it_works_again():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize(capabilities=STATUS)
        wire.open("!error")
        assert await wire.inline(0, 6) == []
        await wire.until(lambda: states(wire)[-1:] == ["error"])
        assert "top_p is 7" in str(statuses(wire)[-1]["message"])
        wire.change([{"text": "fine"}])
        assert await wire.inline(0, 4) != []
        await wire.until(lambda: states(wire)[-1:] == ["ready"])
