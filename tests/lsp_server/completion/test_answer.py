"""From the model's text to the answer, over the wire: keystrokes, cancellations, acceptances as editors send them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from engine import CancellationToken, CompletionRequest, DeviceError
from lsp_server.effort import READING_MS
from lsp_server.scheduling.model_call import OnText
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import TIMEOUT_S, URI, Wire, WireError, connected

pytestmark = pytest.mark.asyncio
KNOWN = "import numpy as np\nx = np.zeros(3)\n"


class Writer(FakeCompleter):
    """Knows one text and writes the rest of its line, up to ``ahead`` characters, one for each permit."""

    def __init__(self, permits: int = 0, ahead: int = 100) -> None:
        super().__init__()
        self._ahead = ahead
        self._permits = threading.Semaphore(permits)

    def permit(self, characters: int) -> None:
        self._permits.release(characters)

    def write(
        self, request: CompletionRequest, cancel: CancellationToken | None, on_text: OnText | None
    ) -> tuple[str, ...]:
        at = KNOWN.find(request.prefix)
        rest = KNOWN[at + len(request.prefix) :].partition("\n")[0][: self._ahead] if at >= 0 else "?"
        for count in range(1, len(rest) + 1):
            while not self._permits.acquire(timeout=0.002):
                if cancel is not None and cancel.cancelled:
                    self.cancelled += 1
                    cancel.raise_if_cancelled()
            if on_text is not None:
                on_text(rest[:count])
        return (rest,) if rest else ()


class Typist:
    """One document, typed at its end by a client with VS Code's habits."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.text = ""
        self._version = 1
        self._number: int | None = None
        self._answer: asyncio.Future[object] | None = None
        wire.open("")

    def type(self, text: str, *, delete: int = 0) -> None:
        """Change the document and cancel the open request."""
        self._version += 1
        self.text = self.text[: len(self.text) - delete] + text
        self.wire.change([{"text": self.text}], self._version)
        if self._answer is not None and not self._answer.done():
            self.wire.notify("$/cancelRequest", {"id": self._number})
            self._answer.add_done_callback(lambda answer: answer.exception())

    def ask(self, trigger: int = 2) -> "asyncio.Future[object]":
        line, character = self.text.count("\n"), len(self.text.rpartition("\n")[2])
        self._number, answer = self.wire.ask_inline(line, character, trigger=trigger)
        self._answer = answer
        return answer

    def press(self, text: str, *, delete: int = 0) -> "asyncio.Future[object]":
        self.type(text, delete=delete)
        return self.ask()


async def shown(answer: "asyncio.Future[object]") -> list[str]:
    result = await asyncio.wait_for(answer, TIMEOUT_S)
    assert isinstance(result, dict)
    return [item["insertText"] for item in result["items"]]


async def statistics(wire: Wire) -> dict[str, int]:
    told = await wire.request("workspace/executeCommand", {"command": "midtoken.server.statistics"})
    assert isinstance(told, dict)
    return told


async def started(wire: Wire, writer: Writer, calls: int = 1) -> None:
    await wire.until(lambda: len(writer.requests) == calls)


@asynccontextmanager
async def typing(permits: int = 0, ahead: int = 100) -> AsyncIterator[tuple[Wire, Writer, Typist]]:
    """A client that types into an empty document, with a `Writer` behind the server."""
    writer = Writer(permits, ahead)
    async with Wire(writer.load) as wire:
        await wire.initialize()
        yield wire, writer, Typist(wire)


async def begun(wire: Wire, writer: Writer, typist: Typist) -> "asyncio.Future[object]":
    """A request for which the model has written one character."""
    answer = typist.press("imp")
    await started(wire, writer)
    writer.permit(1)
    [call] = wire.server.state.scheduler._calls
    await wire.until(lambda: call.written == "o")
    return answer


async def test_one_call_serves_many_keystrokes():
    async with typing() as (wire, writer, typist):
        first = await begun(wire, writer, typist)
        for key in "ort ":
            last = typist.press(key)
        with pytest.raises(WireError):
            await first
        [call] = wire.server.state.scheduler._calls
        await wire.until(lambda: call.waiter is not None and call.typed == "ort ")
        writer.permit(100)
        assert await shown(last) == ["numpy as np"]
        assert await shown(typist.press("n")) == ["numpy as np"]
        assert await shown(typist.press("", delete=1)) == ["numpy as np"]
        assert len(writer.requests) == 1
        told = await statistics(wire)
        assert (told["answeredByRunning"], told["answeredWithoutModel"]) == (1, 2)
        assert (told["cancelled"], told["modelCalls"], told["stoppedCalls"]) == (4, 1, 0)


async def test_a_cancelled_call_that_was_followed_is_kept_for_the_next_request():
    async with typing() as (wire, writer, typist):
        await begun(wire, writer, typist)
        typist.type("o")
        writer.permit(100)
        await wire.until(lambda: len(wire.server.state.completion_cache) == 1)
        assert await shown(typist.ask()) == ["import numpy as np"]
        assert len(writer.requests) == 1


async def test_a_keystroke_that_was_not_foretold_stops_the_call():
    async with typing() as (wire, writer, typist):
        await begun(wire, writer, typist)
        writer.permit(1)
        call = next(iter(wire.server.state.scheduler._calls))
        await wire.until(lambda: call.written == "or")
        typist.type("x")
        await wire.until(lambda: writer.cancelled == 1)
        assert len(wire.server.state.completion_cache) == 0


async def accepted(typist: Typist, before: str) -> None:
    """Type, accept what is shown, and report it to the server."""
    result = await typist.press(before)
    assert isinstance(result, dict)
    [item] = result["items"]
    typist.type(item["insertText"][item["range"]["end"]["character"] - item["range"]["start"]["character"] :])
    typist.wire.send(id="accepted", method="workspace/executeCommand", params=item["command"])


async def test_what_comes_after_an_accepted_item_is_computed_before_it_is_asked_for():
    async with typing(permits=1000, ahead=4) as (wire, writer, typist):
        await accepted(typist, "impo")
        await started(wire, writer, 2)
        assert writer.requests[1].prefix == typist.text == "import n"
        await wire.until(lambda: len(wire.server.state.completion_cache) == 2)
        assert await shown(typist.ask()) == ["numpy"]
        assert await shown(typist.press("u")) == ["numpy"]
        assert len(writer.requests) == 2
        assert (await statistics(wire))["speculativeCalls"] == 1


async def test_that_nothing_comes_after_an_accepted_item_is_known_too():
    async with typing(permits=1000) as (wire, writer, typist):
        await accepted(typist, "impo")
        await wire.until(lambda: len(wire.server.state.completion_cache) == 2)
        assert await shown(typist.ask()) == []
        assert len(writer.requests) == 2


async def test_the_first_keystroke_that_disagrees_abandons_it():
    async with typing(permits=4, ahead=4) as (wire, writer, typist):
        await accepted(typist, "impo")
        await started(wire, writer, 2)
        writer.permit(1)
        call = next(iter(wire.server.state.scheduler._calls))
        await wire.until(lambda: call.written == "u")
        typist.type("\n")
        await wire.until(lambda: writer.cancelled == 1)


async def test_nothing_is_foreseen_when_it_is_disabled_or_not_there():
    async with typing(permits=1000) as (wire, _, typist):
        result = await typist.press("impo")
        assert isinstance(result, dict)
        command = result["items"][0]["command"]
        await wire.request("workspace/executeCommand", command)  # it was not inserted
        typist.type("rt numpy as np")
        await wire.request("workspace/executeCommand", {"command": "midtoken.server.disable"})
        await wire.request("workspace/executeCommand", command)
        await wire.request("workspace/executeCommand", {"command": "midtoken.server.enable"})
        assert (await statistics(wire))["speculativeCalls"] == 0


async def test_a_slow_typist_never_waits_and_a_held_key_does(monkeypatch):
    async with connected(FakeCompleter(), {"debounceMs": 60_000}) as wire:
        monkeypatch.setattr(wire.server.state.debounce, "delay_ms", lambda now_s, longest_ms: 0.0)
        typist = Typist(wire)
        assert await shown(typist.press("a")) != []
        monkeypatch.setattr(wire.server.state.debounce, "delay_ms", lambda now_s, longest_ms: longest_ms)
        waiting = typist.press("b")
        assert await shown(typist.ask(trigger=1)) != [], "asked by hand, nothing waits"
        assert await shown(waiting) == []


async def test_nothing_is_kept_for_a_document_that_was_closed_meanwhile():
    async with typing() as (wire, writer, typist):
        await begun(wire, writer, typist)
        writer.permit(len("rt numpy as n"))
        call = next(iter(wire.server.state.scheduler._calls))
        await wire.until(lambda: call.written == "ort numpy as n")
        del wire.server.state.documents[URI]
        writer.permit(1)
        await wire.until(lambda: wire.server.state.scheduler.idle)
        assert len(wire.server.state.completion_cache) == 0


class Broken(FakeCompleter):
    """Runs out of memory."""

    def complete(self, request, cancel=None, on_text=None):
        raise DeviceError("out of memory: close something, or choose a smaller model")


async def test_out_of_memory_is_told_once_and_the_server_stays():
    async with Wire(Broken().load) as wire:
        await wire.initialize()
        wire.open("x")
        for _ in range(2):
            assert await wire.inline(0, 1) == []
        assert wire.messages() == [
            "Midtoken: a completion failed: out of memory: close something, or choose a smaller model"
        ]
        assert (await statistics(wire))["failed"] == 2


class Hurried(FakeCompleter):
    """Never has time to read everything."""

    def complete(self, request, cancel=None, on_text=None):
        return replace(super().complete(request, cancel, on_text), is_partial=request.reading_ms is not None)


async def test_what_there_was_no_time_to_read_is_read_afterwards():
    fake = Hurried()
    async with connected(fake, configuration={"cacheMb": 3}) as wire:
        await wire.until(lambda: wire.server.state.reading_starts)  # the model is loaded
        wire.open("x = ")
        await wire.until(lambda: fake.read_requests)  # because it was opened
        assert len(await wire.inline(0, 4)) > 0
        await wire.until(lambda: len(fake.read_requests) > 1)
        assert fake.read_requests[1].prefix == "x = "
        assert fake.requests[0].reading_ms == READING_MS
        assert fake.places_bytes == 3 << 20
        assert (await statistics(wire))["readings"] == 2


async def test_without_reading_ahead_everything_is_read_at_once():
    fake = Hurried()
    async with connected(fake, configuration={"readAhead": False}) as wire:
        wire.open("x = ")
        await wire.inline(0, 4)
        assert fake.requests[0].reading_ms is None
        assert (await statistics(wire))["readings"] == 0
        assert not fake.read_requests


async def test_words_that_are_certain_in_time_are_shown_and_the_rest_comes_with_the_next_request():
    writer = Writer()
    async with connected(writer, configuration={"budgetMs": 1000}) as wire:
        wire.open("impo")
        writer.permit(len("rt numpy a"))
        first = await wire.inline(0, 4, trigger=2)
        assert [item["insertText"] for item in first] == ["import numpy"]
        writer.permit(100)
        second = await wire.inline(0, 4, trigger=2)
        assert [item["insertText"] for item in second] == ["import numpy as np"]
        assert len(writer.requests) == 1
