import logging

import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import URI, Wire, WireError, connected

pytestmark = pytest.mark.asyncio


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def assert_alive(wire: Wire) -> None:
    wire.open("x")
    assert (await wire.inline(0, 1))[0]["insertText"] == "xone"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"3", -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "shutdown"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "shutdown"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 99, "method": 3}', -32600),
        (b'{"jsonrpc": "2.0", "id": 99, "method": "midtoken/unknown", "params": {"type_name": 1}}', -32601),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "textDocument/inlineCompletion"}', -32602),
        (b'{"jsonrpc": "2.0", "id": 99, "method": "initialize", "params": {}}', -32600),
    ],
)
async def test_what_is_malformed_is_refused_and_the_server_lives(body, code, caplog):
    async with connected() as wire:
        wire.send_raw(framed(body))
        await wire.until(lambda: wire.errors)
        assert [error["error"]["code"] for error in wire.errors] == [code]
        assert "refused" in caplog.text
        await assert_alive(wire)


@pytest.mark.parametrize(
    "message",
    [
        {"method": "midtoken/unknown", "params": [1]},
        {"method": "$/unknown"},
        {"method": "textDocument/didOpen", "params": {"textDocument": {"text": 3}}},
        {"method": "textDocument/didChange"},
        {"method": "textDocument/didChange", "params": {"textDocument": {"uri": URI, "version": 2}}},
        {"id": 4711, "result": {"nobody": "asked"}},
        {"id": 4711, "error": {"code": 1, "message": "nobody asked"}},
        {"id": 4711, "error": 3},
    ],
)
async def test_notifications_and_answers_that_make_no_sense_are_ignored(message, caplog):
    async with connected() as wire:
        wire.send(**message)
        await assert_alive(wire)
        assert wire.errors == []
        assert wire.messages() == []


async def test_a_message_without_length_is_skipped():
    async with connected() as wire:
        wire.send_raw(b'Content-Type: x\r\n\r\n{"jsonrpc": "2.0", "method": "exit"}')
        await assert_alive(wire)


@pytest.mark.parametrize(
    ("line", "character", "expected"),
    [
        (-1, -1, "one"),
        (0, 2**40, "xone"),
        (2**31, 0, "yone"),
        (1, 1.0, "yone"),
        (0.5, 1e300, "xone"),
        (-7.5, 1, "xone"),
    ],
)
async def test_a_position_outside_every_document_is_brought_into_it(line, character, expected):
    async with connected() as wire:
        wire.open("x\ny")
        assert (await wire.inline(line, character))[0]["insertText"] == expected


@pytest.mark.parametrize(
    "position", [{"line": "1", "character": 0}, {"line": 0}, {"line": 0, "character": True}, 3, None]
)
async def test_an_impossible_position_is_refused(position):
    async with connected() as wire:
        wire.open("x")
        params = {"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 1}}
        with pytest.raises(WireError) as caught:
            await wire.request("textDocument/inlineCompletion", params)
        assert caught.value.code == -32602
        await assert_alive(wire)


async def test_what_comes_back_is_answered_however_deep_it_is():
    async with connected() as wire:
        deep: object = []
        for _ in range(900):
            deep = {"a": deep}
        with pytest.raises(WireError, match="nested too deep"):
            await wire.request("completionItem/resolve", {"label": "x", "more": deep})
        item = {"label": "x", "more": [[[{"a": [1]}]]]}
        assert await wire.request("completionItem/resolve", item) == item


async def test_requests_before_initialize_are_refused_and_notifications_ignored():
    async with Wire(FakeCompleter().load) as wire:
        wire.open("x")
        with pytest.raises(WireError) as caught:
            await wire.inline(0, 0)
        assert caught.value.code == -32002
        await wire.initialize()
        assert await wire.inline(0, 0) == []


async def test_no_log_line_holds_text_of_a_document(caplog):
    secret = "hunter2"
    fake = FakeCompleter((f"{secret} again",))
    with caplog.at_level(logging.WARNING):
        async with connected(fake, {"trace": "verbose"}) as wire:
            wire.open(f"{secret} !crash", language="plaintext")
            await wire.inline(0, 14)
            wire.change([{"text": f"{secret} "}])
            await wire.inline(0, 8)
            await wire.classic(0, 8)
            wire.send_raw(framed(f'{{"jsonrpc": "1.0", "method": "{secret}"}}'.encode()))
            wire.send_raw(framed(f'{{"{secret}'.encode()))
            wire.send(method="textDocument/didChange", params={"textDocument": secret})
            assert await wire.inline(0, 8) != []
            assert not any(secret in str(told) for told in wire.told)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("lsp_server")]
    assert own
    assert not any(secret in line for line in own)
