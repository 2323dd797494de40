import logging

import pytest

from engine import ModelFolderError
from tests.lsp_server.fakes import INFO, FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, URI, Wire, WireError, connected

pytestmark = pytest.mark.asyncio
EXECUTE = "workspace/executeCommand"


async def run(wire: Wire, name: str, *arguments: object) -> object:
    params = {"command": f"midtoken.server.{name}", "arguments": list(arguments)}
    return await wire.request(EXECUTE, params)


async def figures(wire: Wire) -> dict[str, object]:
    told = await run(wire, "statistics")
    assert isinstance(told, dict)
    return told


async def test_the_commands_are_advertised():
    async with Wire(FakeCompleter().load) as wire:
        result = await wire.initialize()
        commands = result["capabilities"]["executeCommandProvider"]["commands"]
        names = ("accept", "addModel", "enable", "disable", "listModels", "modelInfo", "statistics", "showLog")
        assert sorted(commands) == sorted(f"midtoken.server.{name}" for name in names)
        with pytest.raises(WireError) as caught:
            await run(wire, "explode")
        assert caught.value.code == -32602


async def test_an_accepted_item_is_counted_and_followed():
    async with connected(FakeCompleter(("umpy",))) as wire:
        wire.open("import n")
        [item] = await wire.inline(0, 8)
        assert item["command"]["command"] == "midtoken.server.accept"
        wire.change([{"text": "import numpy"}])
        assert await wire.request(EXECUTE, item["command"]) is None
        told = await figures(wire)
        assert (told["shown"], told["accepted"], told["acceptedCharacters"], told["keptCharacters"]) == (1, 1, 4, 4)
        wire.change([{"text": "import num"}], 3)
        assert (await figures(wire))["keptCharacters"] == 2


@pytest.mark.parametrize("arguments", [[], ["nobody"], [3], [{"id": 1}, 2]])
async def test_an_acceptance_of_nothing_known_is_logged(arguments, caplog):
    async with connected() as wire:
        assert await run(wire, "accept", *arguments) is None
        assert "not offered here" in caplog.text
        assert (await figures(wire))["accepted"] == 0


async def test_partial_acceptance_and_showing_are_taken_from_clients_that_tell(caplog):
    async with connected(FakeCompleter(("😀y as np",))) as wire:
        wire.open("num", language="plaintext")
        [item] = await wire.inline(0, 3)
        for _ in range(2):
            wire.notify("textDocument/didShowCompletion", {"item": item})
        wire.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 6})
        told = await figures(wire)
        assert (told["shown"], told["shownReported"]) == (2, True)
        assert (told["accepted"], told["acceptedCharacters"]) == (1, 2)
        await wire.inline(0, 3)
        odd: list[object] = [None, {}, [1], {"item": {"command": {"arguments": []}}}, {"item": 3}]
        for params in odd:
            wire.notify("textDocument/didShowCompletion", params)
            wire.notify("textDocument/didPartiallyAcceptCompletion", params)
        assert (await figures(wire))["shown"] == 2
        assert "was shown that was not offered" in caplog.text
        assert "does not say how much" in caplog.text


async def test_a_part_is_counted_in_the_document_of_a_client_whose_items_have_no_carriage_returns():
    async with Wire(FakeCompleter(("\n    y\n    z",)).load) as wire:
        await wire.initialize(name="Neovim")
        wire.open("if x:\r\n")
        [item] = await wire.inline(0, 5)
        assert item["insertText"] == "\n    y\n    z"
        wire.change([{"text": "if x:\r\n    y\r\n"}])
        wire.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 6})
        told = await figures(wire)
        assert (told["acceptedCharacters"], told["keptCharacters"]) == (7, 7)


async def test_what_was_partly_taken_goes_on_though_another_was_better():
    fake = FakeCompleter(("ab cd", "ab xy", "other"))
    async with connected(fake) as wire:
        wire.open("x", language="plaintext")
        _, second, _ = await wire.inline(0, 1, trigger=1)
        wire.change([{"text": "xab"}])
        wire.notify("textDocument/didPartiallyAcceptCompletion", {"item": second, "acceptedLength": 3})
        assert [item["insertText"] for item in await wire.inline(0, 3, trigger=2)] == ["xab xy"]
        wire.change([{"text": "xot"}], 3)  # of the third, without a word
        assert [item["insertText"] for item in await wire.inline(0, 3, trigger=2)] == ["xother"]
        assert len(fake.requests) == 1


async def test_items_of_the_list_have_a_command_if_the_client_can_run_it():
    for capable in (True, False):
        workspace = {**CAPABILITIES["workspace"], **({"executeCommand": {}} if capable else {})}
        async with Wire(FakeCompleter().load) as wire:
            await wire.initialize(capabilities={**CAPABILITIES, "workspace": workspace})
            wire.open("x")
            items = (await wire.classic(0, 1))["items"]
            assert all(("command" in item) == capable for item in items)
            if capable:
                await wire.request(EXECUTE, items[1]["command"])
                told = await figures(wire)
                assert (told["acceptedCharacters"], told["speculativeCalls"]) == (len("two"), 0)


async def test_disabled_it_answers_empty_until_it_is_enabled():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        _, running = await wire.running(fake)
        await run(wire, "disable")
        assert (await running)["items"] == []
        await wire.until(lambda: fake.cancelled == 1)
        assert await wire.inline(0, 5) == []
        assert (await wire.classic(0, 5))["items"] == []
        assert len(fake.requests) == 1
        wire.change([{"text": "x"}])
        await run(wire, "enable")
        assert await wire.inline(0, 1) != []


async def test_one_language_can_be_switched_off():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("!slow")
        wire.open("x", "file:///b.rs", "rust")
        _, running = wire.ask_inline(0, 5)
        await wire.until(fake.started.is_set)
        await run(wire, "disable", "python")
        assert (await running)["items"] == []
        assert await wire.inline(0, 5) == []
        assert await wire.inline(0, 1, uri="file:///b.rs") != []
        wire.change([{"text": "x"}])
        await run(wire, "enable", "python")
        assert await wire.inline(0, 1) != []


async def test_the_model_is_described():
    async with connected(FakeCompleter(notices=("slow",))) as wire:
        wire.open("x")
        await wire.inline(0, 1)
        told = await run(wire, "modelInfo")
        assert isinstance(told, dict)
        assert (told["state"], told["problem"], told["notices"]) == ("ready", None, ["slow"])
        assert (told["name"], told["contextLength"]) == (INFO.name, INFO.context_length)
        assert told["fimOrders"] == list(INFO.fim_orders)


async def test_without_a_model_it_says_why():
    def load(model_dir=None, *, device="auto", threads=None):
        raise ModelFolderError("no model folder here")

    async with Wire(load) as wire:
        await wire.initialize()
        await wire.until(wire.messages)
        told = await run(wire, "modelInfo")
        assert isinstance(told, dict)
        assert (told["state"], told["problem"], told["name"]) == ("failed", "no model folder here", None)
        wire.open("x")
        assert await wire.inline(0, 1) == []
        counted = await figures(wire)
        assert (counted["failed"], counted["superseded"]) == (1, 0)


async def test_the_figures_count_what_happened():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("x")
        await wire.inline(0, 1)
        await wire.inline(0, 1)
        wire.change([{"text": "!crash"}])
        await wire.inline(0, 6)
        wire.change([{"text": "!slow"}], 3)
        number, slow = wire.ask_inline(0, 5)
        await wire.until(lambda: len(fake.requests) == 3)
        wire.notify("$/cancelRequest", {"id": number})
        with pytest.raises(WireError):
            await slow
        told = await figures(wire)
        assert (told["requests"], told["answeredByModel"], told["answeredWithoutModel"]) == (4, 1, 1)
        assert (told["failed"], told["cancelled"], told["shown"]) == (1, 1, 2)
        assert (told["draftedTokens"], told["draftedTokensKept"]) == (8, 5)
        memory = told["memory"]
        assert isinstance(memory, dict)
        assert (memory["documents"], memory["documentCharacters"], memory["cachedCompletions"]) == (1, 5, 1)


async def test_the_log_is_given_without_document_text():
    async with Wire(FakeCompleter().load) as wire:
        logging.getLogger("lsp_server").setLevel(logging.INFO)
        logging.getLogger().addHandler(wire.server.state.log)
        try:
            await wire.initialize()
            wire.open("geheim !crash")
            assert await wire.inline(0, 13) == []
            told = await run(wire, "showLog")
        finally:
            logging.getLogger().removeHandler(wire.server.state.log)
        assert isinstance(told, dict)
        assert any("the model is loaded" in line for line in told["lines"])
        assert any("RuntimeError" in line for line in told["lines"])
        assert "geheim" not in str(told)
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
