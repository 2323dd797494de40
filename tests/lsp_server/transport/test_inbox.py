"""The number of waiting messages is limited, and dropping some of them changes nothing."""

import asyncio
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.transport import inbox
from lsp_server.transport.inbox import Inbox, compacted


def message(method: str, uri: str = "a", **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": {"textDocument": {"uri": uri}, **params}}).encode()


def change(uri: str, *texts: str | int) -> bytes:
    """A change. A text stands for a whole document, a number for some edit."""
    changes = [{"text": text} if isinstance(text, str) else {"text": "", "range": {"n": text}} for text in texts]
    return message("textDocument/didChange", uri, contentChanges=changes)


def question(uri: str) -> bytes:
    return message("textDocument/completion", uri)


def told(bodies: list[bytes]) -> list[Any]:
    """The history of each document at each request and at the end; it stands for the text."""
    texts: dict[str, list[Any] | None] = {}
    seen: list[Any] = []
    for body in bodies:
        content = json.loads(body)
        method, params = content["method"], content["params"]
        uri = params["textDocument"]["uri"] if "textDocument" in params else ""
        if method.endswith("didOpen"):
            texts[uri] = [params["text"]]
        elif method.endswith("didClose"):
            texts[uri] = None
        elif method.endswith("didChange"):
            history = texts.get(uri)
            for each in params["contentChanges"]:
                if history is not None:
                    history[:] = [*history, each["range"]] if "range" in each else [each["text"]]
        elif method.endswith("completion"):
            seen.append((uri, list(texts.get(uri) or [])))
        else:
            texts[method] = [params]
    return [*seen, {uri: text for uri, text in texts.items() if text is not None}]


numbers = st.integers(0, 99)
uris = st.sampled_from("ab")
messages = st.one_of(
    st.builds(lambda uri, text: message("textDocument/didOpen", uri, text=text), uris, st.text("xyz", max_size=3)),
    st.builds(lambda uri: message("textDocument/didClose", uri), uris),
    st.builds(lambda uri, parts: change(uri, *parts), uris, st.lists(numbers | st.text("xyz"), max_size=3)),
    st.builds(question, uris),
    st.builds(lambda n: json.dumps({"method": "$/setTrace", "params": {"value": n}}).encode(), numbers),
)


@given(st.lists(messages, max_size=25))
def test_leaving_out_what_comes_to_nothing_changes_nothing(sent):
    kept = compacted(sent)
    assert told(kept) == told(sent)
    assert len(kept) <= len(sent)
    assert told(compacted(kept)) == told(sent)


def test_what_is_left_of_typing():
    whole = [change("a", "x" * n) for n in range(50)]
    assert compacted(whole) == whole[-1:]
    edits = [change("a", n) for n in range(50)]
    assert [json.loads(body)["params"]["contentChanges"] for body in compacted(edits)] == [
        [{"text": "", "range": {"n": n}} for n in range(50)]
    ]
    assert len(compacted([edits[0], question("a"), edits[1], question("b"), edits[2]])) == 4


@pytest.mark.parametrize(
    "body", [b"", b"{", b"3", b"[]", b"{}", b"[" * 100_000, b'{"method": 3, "params": 4}', b"\xff"]
)
def test_what_is_no_message_stays(body):
    assert compacted([body, body]) == [body, body]


@pytest.mark.asyncio
async def test_a_reader_waits_while_there_is_too_much(monkeypatch):
    monkeypatch.setattr(inbox, "MOST_WAITING_BYTES", 100)
    hung_up = threading.Event()
    box = Inbox(hung_up.is_set)
    box.open(asyncio.get_running_loop())
    bodies = [b"%040d" % number for number in range(20)]

    def read() -> None:
        for body in bodies:
            box.put(body)
        box.end()

    reader = threading.Thread(target=read)
    reader.start()
    await asyncio.sleep(0.3)
    assert box.waiting_bytes <= 140
    assert not box.ended
    hung_up.set()
    while not box.ended:
        await asyncio.sleep(0.01)
    taken = []
    while (body := await box.get()) is not None:
        taken.append(body)
    assert taken == bodies
    await asyncio.to_thread(reader.join)


@pytest.mark.asyncio
async def test_what_waits_is_compacted(monkeypatch):
    monkeypatch.setattr(inbox, "COMPACTED_FROM_BYTES", 1000)
    box = Inbox()
    box.open(asyncio.get_running_loop())
    for number in range(200):
        box.put(change("a", f"{number:0100d}"))
    assert box.waiting_bytes < 3000
    box.abandon()
    assert await box.get() is None
