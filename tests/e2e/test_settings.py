"""Settings and models that change while the server runs."""

import asyncio

import pytest
from lsprotocol import types
from pytest_lsp import LanguageClient

from tests.e2e.clients import FAKE_SERVER, TIMEOUT_S, Buffer, run, serving, until

pytestmark = pytest.mark.asyncio


def configure(client: LanguageClient, **settings: object) -> None:
    """The user changes settings. The client reports the change and answers when the server asks for them."""
    client.set_configuration(settings, section="midtoken")
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))


async def settled(buffer: Buffer, expected: list[str]) -> None:
    """Ask until the new settings are in effect. The server asks for them after it was told of the change."""
    async with asyncio.timeout(TIMEOUT_S):
        while await buffer.texts() != expected:
            await asyncio.sleep(0.01)


async def test_settings_take_effect_without_a_restart(client, model):
    buffer = Buffer(client, "x")
    assert await buffer.texts() == ["xone"]
    configure(client, languages=["rust"])
    await settled(buffer, [])
    configure(client, healing="off")
    await settled(buffer, ["xone"])
    configure(client, exclude=["*.py"])
    await settled(buffer, [])
    assert [call["healing"] for call in model.calls] == ["exact", "off"]


async def test_another_model_takes_the_place_of_the_first(client, model):
    buffer = Buffer(client, "x")
    assert await buffer.texts() == ["xone"]
    configure(client, model="/models/two")
    await settled(buffer, ["xtwo"])
    configure(client)
    await settled(buffer, ["xone"])
    assert {call["model"] for call in model.calls} == {"one", "two"}


async def test_a_bad_setting_and_a_bad_model_are_told_once_and_the_server_lives(model):
    async with serving(FAKE_SERVER, env=model.env, is_quiet=False) as client:
        for _ in range(2):
            configure(client, model="/models/bad", colour="red")
        await until(lambda: len(client.messages) >= 2)
        told = [message.message for message in client.messages]
        assert "'colour'" in told[0]
        assert "no model folder at bad" in told[1]
        buffer = Buffer(client, "x")
        assert isinstance(await buffer.texts(), list)
        configure(client, model="/models/two")
        await settled(buffer, ["xtwo"])
        assert len(client.messages) == 2


async def test_the_states_of_a_day(model):
    states: list[str] = []
    async with serving(FAKE_SERVER, env=model.env, states=states) as client:
        buffer = Buffer(client, "x")
        assert await buffer.texts() == ["xone"]
        await until(lambda: states[-1:] == ["ready"])
        await run(client, "midtoken.server.disable")
        await until(lambda: states[-1] == "off")
        await run(client, "midtoken.server.enable")
        await until(lambda: states[-1] == "ready")
    assert states[0] == "loading"
    assert "busy" in states
    assert "error" not in states


async def test_two_clients_have_settings_and_texts_of_their_own(client, model):
    """One server for each editor: neither knows what the other was told."""
    async with serving(FAKE_SERVER, settings={"languages": ["rust"]}) as other:
        mine, theirs = Buffer(client, "x", uri="file:///project/a.py"), Buffer(other, "y", uri="file:///project/a.py")
        assert await mine.texts() == ["xone"]
        assert await theirs.texts() == []
        theirs.close()
        assert await mine.texts() == ["xone"]
    mine.type("z")
    assert await mine.texts() == ["xzone"]
