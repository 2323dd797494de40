import asyncio

import pytest

from lsp_server.scheduling.debounce import Debounce
from lsp_server.settings import Settings
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import TIMEOUT_S, URI, Wire, WireError, connected

pytestmark = pytest.mark.asyncio


async def test_the_whole_word_is_returned_with_its_range():
    fake = FakeCompleter(("y as np",))
    async with connected(fake) as wire:
        wire.open("import nump\n")
        [item] = await wire.inline(0, 11)
        assert item["insertText"] == "numpy as np"
        assert item["range"] == {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 11}}
        assert (fake.requests[0].prefix, fake.requests[0].suffix) == ("import nump", "\n")


async def test_asked_by_hand_there_are_several_while_typing_one():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("x")
        assert [item["insertText"] for item in await wire.inline(0, 1, trigger=2)] == ["xone"]
        for _ in range(2):
            assert [item["insertText"] for item in await wire.inline(0, 1, trigger=1)] == ["xone", "xtwo", "xthree"]
        assert [item["insertText"] for item in await wire.inline(0, 1, trigger=2)] == ["xone"]
        assert [request.max_completions for request in fake.requests] == [1, 3]


async def test_items_extend_the_selected_item():
    fake = FakeCompleter((".join",))
    async with connected(fake) as wire:
        wire.open("os.pa()")
        span = {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 5}}
        [item] = await wire.inline(0, 5, selected={"range": span, "text": "path"})
        assert (item["insertText"], item["range"]) == ("path.join", span)
        assert (fake.requests[0].prefix, fake.requests[0].suffix) == ("os.path", "()")
        far = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
        assert await wire.inline(0, 5, selected={"range": far, "text": "path"}) == []


@pytest.mark.parametrize(("item", "shown"), [("num!nothing", ["num!nothing"]), ("numbers!nothing", [])])
async def test_a_selected_item_that_would_be_suggested_is_offered_itself(item, shown):
    fake = FakeCompleter(("!nothing",))
    async with connected(fake) as wire:
        wire.open("import num", language="plaintext")  # where no parser rejects the fake's text
        span = {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 10}}
        found = await wire.inline(0, 10, trigger=2, selected={"range": span, "text": item})
        assert [(item["insertText"], item["range"]) for item in found] == [(text, span) for text in shown]
        assert [request.prefix for request in fake.requests] == [f"import {item}", "import num"]


@pytest.mark.parametrize(("encoding", "before", "word"), [("utf-8", 7, 2), ("utf-16", 4, 1), ("utf-32", 3, 1)])
async def test_positions_in_every_encoding(encoding, before, word):
    fake = FakeCompleter(("z",))
    async with Wire(fake.load) as wire:
        result = await wire.initialize(encodings=(encoding, "utf-16"))
        assert result["capabilities"]["positionEncoding"] == encoding
        wire.open("a\n😀 \u2028é)")  # characters of four, three and one bytes, then the word
        start = {"utf-8": 8, "utf-16": 4, "utf-32": 3}[encoding]
        [item] = await wire.inline(1, start + word)
        assert fake.requests[0].prefix == "a\n😀 \u2028é"
        assert item["range"]["start"] == {"line": 1, "character": start}
        assert item["range"]["end"] == {"line": 1, "character": start + word}


async def test_documents_with_carriage_returns():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("a\r\n!lines\r\nb")
        [item] = await wire.inline(1, 6, trigger=2)
        assert fake.requests[0].prefix == "a\n!lines"
        assert fake.requests[0].suffix == "\nb"
        assert item["insertText"] == "linesif x:\r\n    y()"


async def test_a_request_sees_the_text_it_was_sent_for():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("old")
        _, answer = wire.ask_inline(0, 3)
        wire.change([{"text": "completely new"}])
        assert (await answer)["items"][0]["insertText"] == "oldone"
        assert fake.requests[0].prefix == "old"
        assert (await wire.inline(0, 14))[0]["insertText"] == "newone"


async def test_the_latest_request_wins():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        _, older = await wire.running(fake)
        wire.change([{"text": "fast"}])
        _, newer = wire.ask_inline(0, 4)
        assert (await asyncio.wait_for(older, TIMEOUT_S))["items"] == []
        assert (await newer)["items"][0]["insertText"] == "fastone"
        assert fake.cancelled == 1


async def test_cancellation_stops_the_model():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        number, answer = await wire.running(fake)
        wire.notify("$/cancelRequest", {"id": number})
        with pytest.raises(WireError) as caught:
            await asyncio.wait_for(answer, TIMEOUT_S)
        assert caught.value.code == -32800
        await wire.until(lambda: fake.cancelled == 1)
        wire.notify("$/cancelRequest", {"id": 4711})
        wire.change([{"text": "fast"}])
        assert await wire.inline(0, 4) != []


async def test_a_document_closed_while_a_request_runs():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        _, answer = await wire.running(fake)
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert (await asyncio.wait_for(answer, TIMEOUT_S))["items"] == []
        await wire.until(lambda: fake.cancelled == 1)
        assert await wire.inline(0, 5) == []


async def test_while_typing_the_debounce_holds_requests_back(monkeypatch: pytest.MonkeyPatch):
    # Whatever the machine does meanwhile: who comes before the last one waits for longer than the test takes.
    delays = iter([TIMEOUT_S * 1000] * 3 + [0.0])
    monkeypatch.setattr(Debounce, "delay_ms", lambda pace, now_s, longest_ms: next(delays))
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("")
        answers = []
        for version in range(2, 6):
            wire.change([{"text": "x" * version}], version)
            answers.append(wire.ask_inline(0, version, trigger=2)[1])
        items = [answer["items"] for answer in await asyncio.gather(*answers)]
        assert [len(item) for item in items] == [0, 0, 0, 1]
        assert len(fake.requests) == 1


@pytest.mark.parametrize(("text", "logged"), [("!error", "top_p is 7"), ("!crash", "RuntimeError")])
async def test_an_error_of_the_engine_is_an_empty_list_and_a_log_line(text, logged, caplog):
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open(text)
        assert await wire.inline(0, 6) == []
        assert logged in caplog.text
        assert "cannot complete" not in caplog.text
        assert wire.messages() == []
        wire.change([{"text": "fine"}])
        assert await wire.inline(0, 4) != []


async def test_odd_places_and_documents_are_answered(caplog):
    fake = FakeCompleter(("_z",))
    async with connected(fake) as wire:
        assert await wire.inline(0, 0) == []
        assert "not open" in caplog.text
        wire.open("ab\n")
        [item] = await wire.inline(99, 99)
        assert item["range"]["start"] == {"line": 1, "character": 0}
        [item] = await wire.inline(0, 2**31 - 1)
        assert item["insertText"] == "ab_z"
        wire.open("")
        assert len(await wire.inline(0, 0)) == 1
        wire.open("\ud83d")
        assert len(await wire.inline(0, 1)) == 1


async def test_excluded_documents_and_languages_never_reach_the_model():
    fake = FakeCompleter()
    async with connected(fake, {"languages": ["python"]}) as wire:
        wire.open("KEY=", "file:///a/.env")
        wire.open("fn", "file:///a.rs", "rust")
        assert await wire.inline(0, 4, uri="file:///a/.env") == []
        assert await wire.inline(0, 2, uri="file:///a.rs") == []
        assert fake.requests == []


async def test_the_budget_goes_to_the_engine():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("x")
        await wire.inline(0, 1)
        budget_ms = fake.requests[0].budget_ms
        assert budget_ms is not None
        assert 0 < budget_ms < Settings().budget_ms


async def test_the_trace_has_figures_and_no_text():
    fake = FakeCompleter(("geheim",))
    async with connected(fake, {"trace": "verbose"}) as wire:
        wire.open("vertraulich")
        await wire.inline(0, 11)
        [line] = wire.messages("window/logMessage")
        assert line.startswith("inline: 1 candidates in")
        assert "3 of 7 prompt tokens reused" in line
