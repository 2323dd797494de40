"""An excluded document is neither completed nor used as context; over the wire."""

import asyncio
import subprocess
import threading
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from lsp_server.documents.documents import Document
from lsp_server.files.git_ignore import GitIgnores
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import TIMEOUT_S, URI, Wire, connected

pytestmark = pytest.mark.asyncio
STATISTICS = {"command": "midtoken.server.statistics", "arguments": []}


@pytest.fixture
def project(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("generated/\nlocal.py\n")
    return tmp_path


async def test_what_git_ignores_is_not_completed_until_git_changes_its_mind(project):
    fake = FakeCompleter()
    async with connected(fake, configuration={"trace": "messages"}) as wire:
        uri = (project / "generated" / "a.py").as_uri()
        wire.open("x", uri)
        assert await wire.inline(0, 1, uri=uri) == []
        assert fake.requests == []
        assert "ignored by git" in wire.messages("window/logMessage")[0]
        (project / ".gitignore").write_text("")
        assert await wire.inline(0, 1, uri=uri) != []


async def test_what_git_ignores_is_no_context_of_others(project):
    fake = FakeCompleter()
    async with connected(fake, configuration={"crossFileContext": True}) as wire:
        wire.open("PASSWORD = 1\n", (project / "local.py").as_uri())
        wire.open("TOKEN = 1\n", (project / ".env").as_uri())
        wire.open("def helper(): ...\n", (project / "helper.py").as_uri())
        uri = (project / "main.py").as_uri()
        wire.open("from helper import helper\nfrom local import PASSWORD, TOKEN\nx", uri)
        await wire.inline(2, 1, uri=uri)
        context = str(fake.requests[0].extra_context)
        assert "helper" in context
        assert "PASSWORD" not in context
        assert "helper" in fake.requests[0].imports
        assert "TOKEN" not in context
        memory = (await wire.request("workspace/executeCommand", STATISTICS))["memory"]
        assert (memory["contextPieces"], memory["contextCharacters"]) == (1, len("def helper(): ...\n"))
        wire.configuration = {}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: wire.server.state.context.index.pieces == 0)


async def test_without_the_setting_no_other_document_is_context():
    fake = FakeCompleter()
    async with connected(fake) as wire:
        wire.open("def helper(): ...\n", "file:///project/helper.py")
        wire.open("x")
        await wire.inline(0, 1, uri=URI)
        assert not fake.requests[0].extra_context


async def test_a_language_that_is_left_out_is_neither_completed_nor_context():
    fake = FakeCompleter()
    async with connected(fake, configuration={"crossFileContext": True, "languages": ["rust"]}) as wire:
        wire.open("x")
        assert await wire.inline(0, 1) == []
        wire.open("y", "file:///project/a.rs", "rust")
        await wire.inline(0, 1, uri="file:///project/a.rs")
        assert not fake.requests[0].extra_context


async def test_while_git_is_slow_nothing_waits_but_what_depends_on_it(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(GitIgnores, "cover", lambda *_: not gate.wait(TIMEOUT_S))
    async with connected(configuration={"budgetMs": 1000}) as wire:
        wire.open("x")
        _, waiting = wire.ask_inline(0, 1)
        await wire.request("workspace/executeCommand", STATISTICS)
        assert not waiting.done()
        assert (await waiting)["items"] == [], "in doubt nothing is read"
        gate.set()


async def test_settings_that_change_while_git_is_asked_count():
    completer = FakeCompleter()
    async with Wire(completer.load) as wire:
        await wire.initialize({"debounceMs": 0})
        state = wire.server.state
        wire.open("x")
        await wire.until(lambda: state.model.info is not None)
        told, readable = asyncio.Event(), state.readable

        async def slow(documents: Sequence[Document]) -> tuple[Document, ...]:
            found = await readable(documents)
            if not told.is_set():
                told.set()
                state.configure({"exclude": ["*"]})
            return found

        with patch.object(type(state), "readable", lambda self, documents: slow(documents)):
            assert await wire.inline(0, 1) == []
        assert told.is_set()
