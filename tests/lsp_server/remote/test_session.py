"""A session with a team's service, over the wire: what is completed there, and what is never sent there."""

import pytest

from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import TOKEN
from tests.lsp_server.wire import connected

pytestmark = pytest.mark.asyncio


@pytest.fixture
def settings(serve, tmp_path):
    """The engine of a service, and the settings of a client that uses it."""
    path = tmp_path / "mine"
    path.write_text(TOKEN)
    path.chmod(0o600)
    engine = FakeCompleter(("remote",))
    url = serve(engine).url
    return engine, {"remote": {"url": url, "tokenFile": str(path)}, "budgetMs": 60_000, "debounceMs": 0}


async def test_completions_come_from_the_service(settings):
    engine, configuration = settings
    async with connected(FakeCompleter(("local",)), configuration=configuration) as wire:
        wire.open("x = ")
        assert "remote" in str(await wire.inline(0, 4))
        (request,) = engine.requests
        assert (request.prefix, request.path, request.repository) == ("x = ", "", "")
        info = await wire.request("workspace/executeCommand", {"command": "midtoken.server.modelInfo", "arguments": []})
        assert (info["name"], info["device"]) == ("bundled", "remote")


@pytest.mark.parametrize("name", [".env", ".env.local", "server.key", "id_rsa", "notes.md"])
async def test_nothing_of_an_excluded_document_is_sent(settings, name):
    engine, configuration = settings
    exclude = {"exclude": ["**/.env*", "**/*.key", "**/id_rsa", "*.md"], "crossFileContext": True}
    async with connected(FakeCompleter(("local",)), configuration={**configuration, **exclude}) as wire:
        secret = f"file:///project/{name}"
        wire.open("PASSWORD_OF_MINE = 1\n", secret)
        assert await wire.inline(1, 0, uri=secret) == []
        assert engine.requests == []
        wire.open("PASS", "file:///project/a.py")
        await wire.inline(0, 4, uri="file:///project/a.py")
        assert engine.requests
        assert "PASSWORD_OF_MINE" not in str(engine.requests)


async def test_without_the_setting_nobody_is_asked(settings):
    engine, _ = settings
    async with connected(FakeCompleter(("local",))) as wire:
        wire.open("x = ")
        assert "local" in str(await wire.inline(0, 4))
        assert engine.requests == []


async def test_a_service_that_is_gone_is_no_error_in_the_editor():
    configuration = {"remote.url": "http://127.0.0.1:1", "debounceMs": 0}
    async with connected(FakeCompleter(("local",)), configuration=configuration) as wire:
        wire.open("x = ")
        assert "local" in str(await wire.inline(0, 4))
        assert wire.messages() == []
        assert "cannot be reached" in (wire.server.state.model.notice or "")
