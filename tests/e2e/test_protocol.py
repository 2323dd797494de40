"""The server as a process of its own over standard input and output, with a completer whose timing is controlled."""

import asyncio

import pytest
import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.e2e.clients import FAKE_SERVER, capabilities, edited, environment, inline, opened, texts

pytestmark = pytest.mark.asyncio


@pytest_lsp.fixture(config=ClientServerConfig(server_command=FAKE_SERVER, server_env=environment()))
async def client(lsp_client: LanguageClient):
    result = await lsp_client.initialize_session(types.InitializeParams(capabilities=capabilities()))
    assert result.capabilities.inline_completion_provider is not None
    assert result.capabilities.position_encoding == "utf-16"
    yield
    await lsp_client.shutdown_session()
    assert lsp_client._server is not None
    assert lsp_client._server.returncode == 0


async def ask(client: LanguageClient, line: int, character: int, **keywords: bool) -> list[str]:
    return texts(await client.text_document_inline_completion_async(inline(line, character, **keywords)))


async def test_ghost_text_follows_what_is_typed(client: LanguageClient):
    client.text_document_did_open(opened("😀 = nump\r\n"))
    assert await ask(client, 0, 9) == ["numpone", "numptwo", "numpthree"]
    client.text_document_did_change(edited(2, 0, 5, 9, "x"))
    assert await ask(client, 0, 6, automatic=True) == ["xone"]
    result = await client.text_document_completion_async(
        types.CompletionParams(types.TextDocumentIdentifier("file:///project/a.py"), types.Position(0, 6))
    )
    assert isinstance(result, types.CompletionList)
    assert result.is_incomplete
    assert [item.label for item in result.items] == ["xone", "xtwo", "xthree"]


async def test_the_latest_request_wins(client: LanguageClient):
    client.text_document_did_open(opened("!slow"))
    older = asyncio.ensure_future(ask(client, 0, 5))
    await asyncio.sleep(0.1)
    client.text_document_did_change(edited(2, 0, 0, 5, "!count"))
    newer = asyncio.ensure_future(ask(client, 0, 6))
    assert await asyncio.wait_for(older, 2) == []
    [text] = await asyncio.wait_for(newer, 2)
    assert text.startswith("count#")


async def test_cancelling_frees_the_model(client: LanguageClient):
    client.text_document_did_open(opened("!slow"))
    request = client.protocol.send_request_async("textDocument/inlineCompletion", inline(0, 5), msg_id="mine")
    waiting = asyncio.ensure_future(request)
    await asyncio.sleep(0.1)
    client.cancel_request(types.CancelParams("mine"))
    client.text_document_did_change(edited(2, 0, 0, 5, "fast"))
    assert await asyncio.wait_for(ask(client, 0, 4, automatic=True), 2) == ["fastone"]
    # pygls's own client drops the future of a request that it cancels, so that there is no answer to see here.
    waiting.cancel()


async def test_nothing_that_prints_disturbs_the_protocol(client: LanguageClient, capfd: pytest.CaptureFixture[str]):
    client.text_document_did_open(opened("!print"))
    assert await ask(client, 0, 6, automatic=True) == ["printone"]
    assert await ask(client, 0, 6, automatic=True) == ["printone"]
    assert client.error is None


async def test_errors_are_empty_lists_and_unknown_methods_errors(client: LanguageClient):
    assert await ask(client, 0, 0) == []
    client.text_document_did_open(opened("!crash"))
    assert await ask(client, 0, 6) == []
    with pytest.raises(JsonRpcException) as caught:
        await client.protocol.send_request_async("midtoken/unknown", None)
    assert caught.value.code == -32601
    client.text_document_did_change(edited(2, 0, 0, 6, "fine"))
    assert await ask(client, 0, 4, automatic=True) == ["fineone"]


async def test_a_bad_setting_and_a_bad_model_are_told_and_the_server_lives(client: LanguageClient):
    client.set_configuration({"model": "/models/bad", "colour": "red"}, section="midtoken")
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))
    async with asyncio.timeout(5):
        while len(client.messages) < 2:
            await asyncio.sleep(0.01)
    told = [message.message for message in client.messages]
    assert "'colour'" in told[0]
    assert "no model folder at bad" in told[1]
    client.text_document_did_open(opened("x"))
    assert await ask(client, 0, 1) == []
