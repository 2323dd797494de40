import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, URI, Wire, connected

pytestmark = pytest.mark.asyncio


async def test_the_list_is_incomplete_and_its_items_carry_the_edit():
    fake = FakeCompleter(("urn", "ry"))
    async with connected(fake) as wire:
        wire.open("😀 ret")
        result = await wire.classic(0, 6)
        assert result["isIncomplete"] is True
        span = {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 6}}
        assert [item["textEdit"] for item in result["items"]] == [
            {"range": span, "newText": "return"},
            {"range": span, "newText": "retry"},
        ]


async def test_without_a_document_the_list_is_empty_and_still_incomplete():
    async with connected() as wire:
        assert await wire.classic(0, 0) == {"isIncomplete": True, "items": []}


async def test_ghost_text_and_list_at_one_place_are_both_answered():
    fake = FakeCompleter()
    async with connected(fake, {"debounceMs": 0}) as wire:
        wire.open("!step")
        _, inline = wire.ask_inline(0, 5)
        result = await wire.classic(0, 5)
        assert result["items"] != []
        assert (await inline)["items"] != []


@pytest.mark.parametrize(
    ("formats", "documentation"),
    [
        (["plaintext", "markdown"], {"kind": "markdown", "value": "```python\n!linesif x:\n    y()\n```"}),
        (None, {"kind": "plaintext", "value": "!linesif x:\n    y()"}),
    ],
)
async def test_an_item_of_several_lines_shows_them_when_it_is_resolved(formats, documentation):
    item = {"documentationFormat": formats} if formats else {}
    text_document = {**CAPABILITIES["textDocument"], "completion": {"completionItem": item}}
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize(capabilities={**CAPABILITIES, "textDocument": text_document})
        wire.open("!lines")
        [sent] = (await wire.classic(0, 6))["items"]
        resolved = await wire.request("completionItem/resolve", sent)
        documentation["value"] = documentation["value"].replace("!linesif", "linesif")
        assert resolved == {**sent, "documentation": documentation}


async def test_what_has_nothing_more_to_show_comes_back_as_it_is():
    async with connected() as wire:
        wire.open("x")
        [one, *_] = (await wire.classic(0, 1))["items"]
        strange = [{"label": "x"}, {"label": "x", "data": {"id": 1}}, {"label": "x", "data": "nobody"}]
        for item in [one, *strange]:
            assert await wire.request("completionItem/resolve", item) == item
        wire.change([{"text": "!lines"}])
        [several] = (await wire.classic(0, 6))["items"]
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await wire.request("completionItem/resolve", several) == several
