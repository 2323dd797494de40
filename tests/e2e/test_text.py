"""Text that often causes mistakes, in every position encoding: what the model reads and where items go."""

import random

import pytest
import pytest_asyncio
from lsprotocol import types
from pytest_lsp import LanguageClient

from lsp_server.documents.positions import ENCODINGS, PositionEncoding
from tests.e2e.clients import FAKE_SERVER, Buffer, Model, serving
from tests.lsp_server.texts import PIECES, slow_position

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINES = {
    "carriage returns and line feeds": "a\r\nb = 1\r\n",
    "carriage returns": "a\rb = 1\r",
    "mixed": "a\nb\r\nc\rd\n\r\n",
    "form feeds": "import os\f\n\f\nclass A:\f\n",
    "separators that are no line breaks": "a\u2028b\u2029c\x85d\x0be\x1cf\n",
    "emoji": 's = "👨\u200d👩\u200d👧 😀"\n# 😀😀 ',
    "combining marks": "cafe\u0301 = 'e\u0301\u0302'\n",
    "right to left and wide": "שלום = '広い'\n",
    "tabs": "if x:\n\treturn\t",
}


@pytest_asyncio.fixture(params=ENCODINGS, scope="module", loop_scope="module")
async def place(request, tmp_path_factory):
    """One server for each encoding: how to open a document there, and its model's calls."""
    model = Model(tmp_path_factory.mktemp(request.param))
    async with serving(FAKE_SERVER, encoding=request.param, settings={"multiLine": True}, env=model.env) as client:
        yield Place(client, model, request.param)


class Place:
    def __init__(self, client: LanguageClient, model: Model, encoding: PositionEncoding) -> None:
        self.client = client
        self.model = model
        self.encoding = encoding

    def open(self, text: str) -> Buffer:
        return Buffer(self.client, text, encoding=self.encoding)


@pytest.mark.parametrize("name", LINES)
async def test_text_is_read_and_completed_at_the_right_place(place, name):
    before, after, model = LINES[name], "\nafter 😀\r\n", place.model
    buffer = place.open(before + "x" + after)
    at = len(before) + 1
    [item] = await buffer.items(at)
    assert model.calls[-1]["prefix"] == in_engine(before + "x")
    assert model.calls[-1]["suffix"] == in_engine(after)
    assert item.range is not None
    assert item.range.end == slow_position(buffer.text, at, place.encoding)
    await buffer.accept(item)
    assert buffer.text == before + "xone" + after
    buffer.type("?", at=len(before) + 4)
    await buffer.items(len(before) + 5)
    assert model.calls[-1]["prefix"] == in_engine(before + "xone?"), "the text after the acceptance"


@pytest.mark.parametrize("word", ["cafe\u0301", "größe", "名前", "x𝒳"])
async def test_words_of_letters_and_marks_are_replaced_whole(place, word):
    buffer = place.open(f"😀 {word}")
    [item] = await buffer.items()
    assert item.insert_text == f"{word}one"
    assert item.range == types.Range(slow_position(buffer.text, 2, place.encoding), buffer.position())


async def test_many_edits_leave_the_server_with_the_text_of_the_client(place):
    chance = random.Random(3)
    buffer = place.open("start\r\n")
    for round_ in range(10):
        for _ in range(30):
            places = buffer.places()
            start = chance.choice(places)
            longest = 8 if len(buffer.text) < 200 else 40
            end = next(place for place in places if place >= min(start + chance.randrange(longest), len(buffer.text)))
            buffer.replace(start, end, "".join(chance.choices(PIECES, k=chance.randrange(4))))
        end = len(buffer.text)
        buffer.replace(end, end, f"\nmark{round_}")
        await buffer.items()
        assert place.model.calls[-1]["prefix"] == in_engine(buffer.text)


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
async def test_items_of_several_lines_take_the_line_break_of_the_document(place, line_break):
    [text] = await place.open(f"a{line_break}!lines").texts()
    assert text == f"linesif x:{line_break}    y()"


def in_engine(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
