"""Early answers over the wire: first the words that are certain, then the notification that there are more."""

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from engine import CancellationToken, CompletionRequest
from lsp_server.scheduling.model_call import OnText
from tests.lsp_server.fakes import STEP_S, FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, URI, Wire

pytestmark = pytest.mark.asyncio
TOLD_MORE = {**CAPABILITIES, "experimental": {"midtokenMoreText": True}}


@dataclass(frozen=True, slots=True)
class Place:
    """A document with its cursor, what the model has written there after a while, what is certain of it, and all."""

    language: str
    document: str
    written: str
    certain: str
    whole: str

    @property
    def text(self) -> str:
        return self.document.replace("█", "")

    @property
    def position(self) -> tuple[int, int]:
        lines = self.document.partition("█")[0].split("\n")
        return len(lines) - 1, len(lines[-1])


PYTHON = Place("python", "x = 1\n█", "numbers = lo", "numbers =", "numbers = load(path)")
PLACES = [
    pytest.param(PYTHON, id="Python: a word"),
    pytest.param(
        Place("python", "import json\njson.█", "loads(", "loads", "loads(text)"), id="Python: a bracket just opened"
    ),
    pytest.param(
        Place("python", "# The first █\nx = 1\n", "of two numb", "of two", "of two numbers"), id="Python: a comment"
    ),
    pytest.param(
        Place(
            "typescript",
            "function f(rows) {\n\t█\n}\n",
            "if (rows) {\n\t\tret",
            "if (rows) {",
            "if (rows) {\n\t\treturn rows;\n\t}",
        ),
        id="TypeScript: a block",
    ),
    pytest.param(
        Place("go", "package a\n\nfunc f(rows []int) {\n\tsort(█)\n}\n", "rows, le", "rows, ", "rows, len(rows)"),
        id="Go: in brackets",
    ),
]


class WritesInTwo(FakeCompleter):
    """Writes the first words, and the rest when told to."""

    def __init__(self, place: Place = PYTHON) -> None:
        super().__init__((place.whole,))
        self._written = place.written
        self.may_end = threading.Event()

    def write(
        self, request: CompletionRequest, cancel: CancellationToken | None, on_text: OnText | None
    ) -> tuple[str, ...]:
        assert on_text is not None
        on_text(self._written)
        while not self.may_end.wait(STEP_S):
            assert cancel is not None
            cancel.raise_if_cancelled()
        return super().write(request, cancel, on_text)


def news(wire: Wire) -> list[Any]:
    return [told["params"] for told in wire.told if told["method"] == "midtoken/moreText"]


def texts(items: list[dict[str, object]]) -> list[object]:
    return [item["insertText"] for item in items]


@pytest.mark.parametrize("place", PLACES)
async def test_the_first_words_at_once_and_the_rest_when_it_is_asked_for_again(place: Place):
    fake = WritesInTwo(place)
    async with Wire(fake.load) as wire:
        await wire.initialize(capabilities=TOLD_MORE)
        wire.open(place.text, language=place.language)
        line, character = place.position
        assert texts(await wire.inline(line, character, trigger=2)) == [place.certain]
        assert news(wire) == []
        fake.may_end.set()
        await wire.until(lambda: news(wire))
        where = {"line": line, "character": character}
        assert news(wire) == [{"textDocument": {"uri": URI, "version": 1}, "position": where}]
        assert texts(await wire.inline(line, character, trigger=2)) == [place.whole]
        assert len(fake.requests) == 1


async def test_of_a_text_that_has_changed_there_is_no_news():
    fake = WritesInTwo()
    async with Wire(fake.load) as wire:
        await wire.initialize(capabilities=TOLD_MORE)
        wire.open("x = 1\n")
        assert texts(await wire.inline(1, 0, trigger=2)) == [PYTHON.certain]
        start = {"line": 1, "character": 0}
        wire.change([{"range": {"start": start, "end": start}, "text": "n"}])
        _, rest = wire.ask_inline(1, 1, trigger=2)
        assert texts((await rest)["items"]) == [PYTHON.certain]
        fake.may_end.set()
        await wire.until(lambda: news(wire))
        assert [told["textDocument"]["version"] for told in news(wire)] == [2]


async def test_who_is_not_told_of_more_gets_the_whole():
    fake = WritesInTwo()
    async with Wire(fake.load) as wire:
        await wire.initialize(capabilities=CAPABILITIES)
        wire.open("x = 1\n")
        _, answer = wire.ask_inline(1, 0, trigger=2)
        await wire.until(fake.started.is_set)
        fake.may_end.set()
        assert texts((await answer)["items"]) == [PYTHON.whole]
        assert news(wire) == []


async def test_who_asks_by_hand_gets_the_whole():
    fake = WritesInTwo()
    fake.may_end.set()
    async with Wire(fake.load) as wire:
        await wire.initialize(capabilities=TOLD_MORE)
        wire.open("x = 1\n")
        assert texts(await wire.inline(1, 0)) == [PYTHON.whole]
        assert news(wire) == []
