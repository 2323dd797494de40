import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import Wire

pytestmark = pytest.mark.asyncio


async def test_the_list_is_incomplete_and_its_items_carry_the_edit():
    fake = FakeCompleter(("urn", "ry"))
    async with Wire(fake.load) as wire:
        await wire.initialize()
        wire.open("😀 ret")
        result = await wire.classic(0, 6)
        assert result["isIncomplete"] is True
        span = {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 6}}
        assert [item["textEdit"] for item in result["items"]] == [
            {"range": span, "newText": "return"},
            {"range": span, "newText": "retry"},
        ]


async def test_without_a_document_the_list_is_empty_and_still_incomplete():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        assert await wire.classic(0, 0) == {"isIncomplete": True, "items": []}


async def test_ghost_text_and_list_at_one_place_are_both_answered():
    fake = FakeCompleter()
    async with Wire(fake.load, {"debounceMs": 0}) as wire:
        await wire.initialize()
        wire.open("!step")
        _, inline = wire.ask_inline(0, 5)
        result = await wire.classic(0, 5)
        assert result["items"] != []
        assert (await inline)["items"] != []
