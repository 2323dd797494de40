"""Typing, deleting, undoing, cancelling: which request gets which answer, and what the model has to do for it."""

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient

from tests.e2e.clients import TIMEOUT_S, Buffer, run, until

pytestmark = pytest.mark.asyncio
CANCELLED = -32800


def ask(client: LanguageClient, buffer: Buffer, number: str) -> "asyncio.Future[Any]":
    """Ask; returns the number of the request, which `$/cancelRequest` needs, and its future answer."""
    method = types.TEXT_DOCUMENT_INLINE_COMPLETION
    answer: asyncio.Future[Any] = asyncio.ensure_future(
        client.protocol.send_request_async(method, buffer.question(), msg_id=number)
    )
    return answer


def cancel(client: LanguageClient, number: str | int) -> None:
    # Not by pygls's own method, which would drop the future: the answer must be seen.
    client.protocol.notify(types.CANCEL_REQUEST, types.CancelParams(number))


async def outcome(answer: "asyncio.Future[Any]") -> list[str] | int | None:
    """The texts of an answer, or the code of its error."""
    try:
        result = await asyncio.wait_for(answer, TIMEOUT_S)
    except JsonRpcException as error:
        return error.code
    return [item.insert_text for item in result.items]


async def test_ghost_text_follows_what_is_typed(client):
    buffer = Buffer(client, "😀 = nump\r\n")
    at = buffer.text.index("\r")
    assert await buffer.texts(at, automatic=False) == ["numpone", "numptwo", "numpthree"]
    buffer.replace(4, at, "x")
    assert await buffer.texts(5) == ["xone"]
    listed = await buffer.listed(5)
    assert listed.is_incomplete
    assert [item.label for item in listed.items] == ["xone", "xtwo", "xthree"]


async def test_typing_along_and_deleting_again_asks_the_model_once(client, model):
    buffer = Buffer(client, "value = x")
    assert await buffer.texts() == ["xone"]
    for typed in ("o", "n"):
        buffer.type(typed)
        assert await buffer.texts() == ["xone"]
    for _ in range(2):
        buffer.replace(len(buffer.text) - 1, len(buffer.text), "")
        assert await buffer.texts() == ["xone"]
    assert len(model.calls) == 1
    buffer.type("z")
    assert await buffer.texts() == ["xzone"]
    assert len(model.calls) == 2
    statistics = await run(client, "midtoken.server.statistics")
    assert statistics["answeredWithoutModel"] >= 4
    assert statistics["answeredByModel"] == 2


async def test_what_is_typed_to_its_end_is_not_offered_again(client):
    buffer = Buffer(client, "x")
    assert await buffer.texts() == ["xone"]
    buffer.type("one")
    assert await buffer.texts() == ["xoneone"]


async def test_undo_brings_back_the_text_and_the_suggestion(client, model):
    before = "a = 1\nb = x"
    buffer = Buffer(client, before)
    [item] = await buffer.items()
    await buffer.accept(item)
    assert buffer.text == "a = 1\nb = xone"
    assert await buffer.texts() == ["xoneone"]
    buffer.replace(len(before), len(buffer.text), "")  # undone in one step, as editors do
    assert await buffer.texts() == ["xone"]
    buffer.replace_all("something else\n")
    buffer.replace_all(before)
    assert await buffer.texts() == ["xone"]
    assert [call["prefix"] for call in model.calls].count(before) == 1
    statistics = await run(client, "midtoken.server.statistics")
    assert (statistics["accepted"], statistics["acceptedCharacters"], statistics["keptCharacters"]) == (1, 3, 0)


async def test_a_storm_of_cancellations_leaves_nothing_behind(client, model):
    """Typing as in VS Code, much faster than any model: every key cancels the request before it."""
    buffer = Buffer(client)
    count, answers = 300, []
    for number in range(count):
        buffer.type("\n" if number % 50 == 49 else "x")
        answers.append(ask(client, buffer, f"storm {number}"))
        if number % 3:  # sometimes the model has time to begin
            await asyncio.sleep(0.002)
        cancel(client, f"storm {number}")
    buffer.type(" = y")
    assert await buffer.texts() == ["yone"]
    outcomes = await asyncio.gather(*map(outcome, answers))
    # Cancelled, overtaken by the next one before the cancellation came, or answered before it.
    assert {str(each) for each in outcomes} <= {str(CANCELLED), "[]", "['one']"} | {
        f"['{'x' * length}one']" for length in range(1, 51)
    }
    assert outcomes.count(CANCELLED) > count // 2
    statistics = await run(client, "midtoken.server.statistics")
    assert statistics["requests"] == count + 1
    assert statistics["cancelled"] == outcomes.count(CANCELLED)
    assert statistics["failed"] == 0
    assert model.calls[-1]["prefix"] == buffer.text


async def test_the_latest_request_wins(client, model):
    buffer = Buffer(client, "!slow")
    older = ask(client, buffer, "older")
    await model.begun("!slow")
    buffer.replace(0, 5, "fast")
    assert await buffer.texts() == ["fastone"]
    assert await outcome(older) == []


async def test_cancelling_frees_the_model(client, model):
    buffer = Buffer(client, "!slow")
    answer = ask(client, buffer, "mine")
    await model.begun("!slow")
    cancel(client, "mine")
    assert await outcome(answer) == CANCELLED
    buffer.replace(0, 5, "fast")
    assert await buffer.texts() == ["fastone"]


async def test_requests_in_two_documents_do_not_overtake_each_other(client):
    first, second = Buffer(client, "a"), Buffer(client, "b")
    assert [*await asyncio.gather(first.texts(), second.texts())] == [["aone"], ["bone"]]


async def test_cancellations_of_what_is_over_or_was_never_asked_do_nothing(client):
    buffer = Buffer(client, "x")
    for number in ("never", 4711):
        cancel(client, number)
    answer = ask(client, buffer, "done")
    assert await outcome(answer) == ["xone"]
    cancel(client, "done")
    assert await buffer.texts(automatic=False) == ["xone", "xtwo", "xthree"]


async def test_switching_off_stops_what_runs_and_on_completes_again(client, model):
    buffer = Buffer(client, "!slow")
    answer = ask(client, buffer, "running")
    await model.begun("!slow")
    await run(client, "midtoken.server.disable")
    assert await outcome(answer) == []
    buffer.replace(0, 5, "fast")
    assert await buffer.texts() == []
    await run(client, "midtoken.server.enable")
    assert await buffer.texts() == ["fastone"]
    await until(lambda: [call["prefix"] for call in model.calls] == ["!slow", "fast"])
