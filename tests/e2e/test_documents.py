"""Documents that come and go: renamed, closed during a request, opened twice, never opened."""

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient

from tests.e2e.clients import TIMEOUT_S, Buffer, run

pytestmark = pytest.mark.asyncio


async def memory(client: LanguageClient) -> dict[str, int]:
    held: dict[str, int] = (await run(client, "midtoken.server.statistics"))["memory"]
    return held


async def test_a_renamed_document_is_another_one(client, model):
    """Editors close the old name and open the new one, and also report the renamed files."""
    buffer = Buffer(client, "x", uri="file:///project/old.py")
    assert await buffer.texts() == ["xone"]
    buffer.close()
    renamed = Buffer(client, "x", uri="file:///project/new.py")
    client.workspace_did_rename_files(types.RenameFilesParams([types.FileRename(buffer.uri, renamed.uri)]))
    assert await renamed.texts() == ["xone"]
    assert await buffer.texts() == []
    renamed.type("y")
    assert await renamed.texts() == ["xyone"]
    assert (await memory(client))["documents"] == 1


async def test_a_rename_into_what_is_excluded_is_not_read_any_more(client, model):
    buffer = Buffer(client, "KEY = x", uri="file:///project/settings.py")
    assert await buffer.texts() == ["xone"]
    buffer.close()
    secret = Buffer(client, "KEY = xy", uri="file:///project/.env")
    assert await secret.texts() == []
    assert len(model.calls) == 1


async def test_a_document_closed_while_its_request_runs(client, model):
    buffer, other = Buffer(client, "!slow"), Buffer(client, "x")
    waiting = asyncio.ensure_future(buffer.texts())
    await model.begun("!slow")
    buffer.close()
    assert await asyncio.wait_for(waiting, TIMEOUT_S) == []
    assert await other.texts() == ["xone"], "the model is free"
    assert (await memory(client))["documents"] == 1


async def test_closing_and_opening_again_begins_anew(client):
    buffer = Buffer(client, "x")
    assert await buffer.texts() == ["xone"]
    buffer.close()
    again = Buffer(client, "😀\r\ny", uri=buffer.uri)
    assert await again.texts() == ["yone"]
    opened_twice = Buffer(client, "z", uri=buffer.uri)
    assert await opened_twice.texts() == ["zone"]


async def test_what_is_not_open_is_answered_and_its_changes_are_ignored(client):
    buffer = Buffer(client, "x")
    buffer.close()
    buffer.type("y")
    buffer.close()
    assert await buffer.texts() == []
    assert len((await buffer.listed()).items) == 0


async def test_many_documents_opened_and_closed_leave_nothing(client):
    for round_ in range(100):
        buffer = Buffer(client, f"a{round_} = x")
        if round_ % 10 == 0:
            assert await buffer.texts() == ["xone"]
        buffer.close()
    held = await memory(client)
    assert (held["documents"], held["documentCharacters"], held["cachedCompletions"]) == (0, 0, 0)


async def test_errors_are_empty_lists_and_unknown_methods_errors(client):
    crashing = Buffer(client, "!crash")
    assert await crashing.texts() == []
    with pytest.raises(JsonRpcException) as caught:
        await client.protocol.send_request_async("midtoken/unknown", None)
    assert caught.value.code == types.ErrorCodes.MethodNotFound
    crashing.replace(0, 6, "fine")
    assert await crashing.texts() == ["fineone"]


async def test_nothing_that_prints_disturbs_the_protocol(client):
    buffer = Buffer(client, "!print")
    assert await buffer.texts() == ["printone"]
    assert await buffer.texts() == ["printone"]
    assert client.error is None
