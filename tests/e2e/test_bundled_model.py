"""``midtoken serve`` with the model that ships: the whole house, from the bytes of a request to ghost text."""

import asyncio

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.e2e.clients import REAL_SERVER, URI, capabilities, edited, environment, inline, opened, texts

pytestmark = pytest.mark.asyncio
# A busy machine may be slow; an answer cut short by the budget would be an answer to another question.
SETTINGS = {"budgetMs": 20_000, "device": "cpu"}


@pytest_lsp.fixture(config=ClientServerConfig(server_command=REAL_SERVER, server_env=environment()))
async def client(lsp_client: LanguageClient):
    params = types.InitializeParams(
        capabilities=capabilities(types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16),
        initialization_options=SETTINGS,
    )
    result = await lsp_client.initialize_session(params)
    assert result.capabilities.position_encoding == "utf-8"
    yield
    assert [message.message for message in lsp_client.messages] == []
    await lsp_client.shutdown_session()
    assert lsp_client._server is not None
    assert lsp_client._server.returncode == 0


async def ask(client: LanguageClient, line: int, character: int, *, automatic: bool = True) -> list[str]:
    result = await client.text_document_inline_completion_async(inline(line, character, automatic=automatic))
    return texts(result)


async def test_a_word_cut_in_the_middle_is_completed_and_typed_on(client: LanguageClient):
    before = "import os\n\n\ndef first(items):\n    for item in items:\n        "
    client.text_document_did_open(opened(f"{before}ret\n"))
    [item] = await ask(client, 5, 11)
    assert item.startswith("return")
    assert "\n" not in item
    client.text_document_did_change(edited(2, 5, 11, 11, "u"))
    [item] = await ask(client, 5, 12)
    assert item.startswith("return")


async def test_a_document_with_carriage_returns_and_wide_characters(client: LanguageClient):
    client.text_document_did_open(opened('s = "😀"\r\nfor i in ran'))
    result = await client.text_document_inline_completion_async(inline(1, 12, automatic=True))
    assert isinstance(result, types.InlineCompletionList)
    [item] = result.items
    assert str(item.insert_text).startswith("range")
    assert item.range == types.Range(types.Position(1, 9), types.Position(1, 12))


async def test_the_list_and_the_ghost_text_agree(client: LanguageClient):
    client.text_document_did_open(opened("import json\n\njson.lo"))
    at = types.CompletionParams(types.TextDocumentIdentifier(URI), types.Position(2, 7))
    ghost, listed = await asyncio.gather(ask(client, 2, 7), client.text_document_completion_async(at))
    assert isinstance(listed, types.CompletionList)
    assert [item.label for item in listed.items][:1] == ghost


async def test_typing_faster_than_the_model(client: LanguageClient):
    client.text_document_did_open(opened("def first(items):\n    for item in items:\n        \n"))
    waiting = []
    for version, character in enumerate("if item: ret"):
        client.text_document_did_change(edited(version + 2, 2, 8 + version, 8 + version, character))
        waiting.append(asyncio.ensure_future(ask(client, 2, 9 + version)))
        await asyncio.sleep(0.01)
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert answers.count([]) > len(answers) // 2
    [item] = answers[-1]
    assert item.startswith("return")
