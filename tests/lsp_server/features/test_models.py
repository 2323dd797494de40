"""The commands that list and add models, with a worker of a few lines and, once, with the real one."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import ModelFolderError
from lsp_server.models import background
from lsp_server.models.background import LocalModels, Outcome, add_in_process
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.models.fake_machine import put_ollama, registry_at
from tests.lsp_server.wire import CAPABILITIES, Wire

pytestmark = pytest.mark.asyncio

HEAD = """
import json, sys, time, pathlib
model = json.loads(sys.stdin.buffer.readline())["model"]
def say(**message): print(json.dumps(message), flush=True)
"""
ADDS = (
    HEAD
    + """
say(share=0.25, doing="weights")
say(share=1.0, doing="done")
say(added=model != "there", name=model, path="/store/" + model)
"""
)
WAITS = (
    HEAD
    + """
say(share=0.5, doing="weights")
sys.stdin.buffer.read()
pathlib.Path(model).write_text("heard")
say(cancelled=True)
"""
)
STUCK = (
    HEAD
    + """
say(share=0.5, doing="weights")
time.sleep(600)
"""
)
FAILS = HEAD + 'say(error="x cannot be used: it is no GGUF file"); sys.exit(1)'
DIES = HEAD + 'sys.stderr.write("one\\nMemoryError: no memory\\n\\n"); sys.exit(7)'
BABBLES = HEAD + 'print("[1, 2"); print("x" * 200_000)'
ENDS_AT_ONCE = "import sys; sys.exit(3)"


def worker(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


async def execute(wire: Wire, command: str, *arguments: object) -> Any:
    return await wire.request("workspace/executeCommand", {"command": command, "arguments": [*arguments]})


def progress_of(wire: Wire) -> list[Any]:
    return [told["params"]["value"] for told in wire.told if told["method"] == "$/progress"]


def adding_progress(wire: Wire) -> list[Any]:
    """All reports of progress that can be cancelled."""
    tokens = [told["params"]["token"] for told in wire.told if told["method"] == "$/progress"]
    values = progress_of(wire)
    ours = next(token for token, value in zip(tokens, values, strict=True) if value.get("cancellable"))
    return [value for token, value in zip(tokens, values, strict=True) if token == ours]


async def test_the_list_is_that_of_the_command_line(tmp_path: Path):
    put_ollama(tmp_path / "home/.ollama/models", "smol:135m")
    registry = registry_at(tmp_path)
    async with Wire(FakeCompleter().load, {"model": "/models/x"}) as wire:
        await wire.initialize()
        wire.server.state.local_models = LocalModels(lambda: registry.table().entries)
        await wire.until(lambda: wire.server.state.settings.model)
        said = await execute(wire, "midtoken.server.listModels")
        assert [model["name"] for model in said["models"]] == ["bundled", "smol:135m"]
        assert said["models"][1] == registry.table().entries[1].to_json()
        assert (said["setting"], said["problem"]) == ("/models/x", None)


@pytest.mark.parametrize(
    ("error", "problem"),
    [(ModelFolderError("the store cannot be read"), "the store cannot be read"), (RuntimeError(), "the models cannot")],
)
async def test_a_list_that_cannot_be_made_says_so(error: Exception, problem: str):
    def entries() -> Any:
        raise error

    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.server.state.local_models = LocalModels(entries)
        said = await execute(wire, "midtoken.server.listModels")
        assert said["models"] == []
        assert said["problem"].startswith(problem)


async def test_adding_shows_its_progress():
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.server.state.local_models = LocalModels(worker=worker(ADDS))
        said = await execute(wire, "midtoken.server.addModel", "smol:135m")
        assert said == {"state": "added", "name": "smol:135m", "path": "/store/smol:135m", "problem": None}
        begin, first, last, end = adding_progress(wire)
        assert begin["title"] == "Midtoken: adding smol:135m"
        assert (first["percentage"], first["message"], last["percentage"]) == (25, "weights", 100)
        assert end["kind"] == "end"
        assert (await execute(wire, "midtoken.server.addModel", "there"))["state"] == "unchanged"
        assert wire.server.work_done_progress.tokens == {}


async def test_a_client_without_progress_gets_none():
    capabilities = {name: value for name, value in CAPABILITIES.items() if name != "window"}
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize(capabilities=capabilities)
        wire.server.state.local_models = LocalModels(worker=worker(ADDS))
        assert (await execute(wire, "midtoken.server.addModel", "x"))["state"] == "added"
        assert progress_of(wire) == []


@pytest.mark.parametrize("way", ["the progress", "the request"])
async def test_cancelling_ends_the_process_and_completions_go_on_meanwhile(tmp_path: Path, way: str):
    heard = tmp_path / "heard"
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.server.state.local_models = LocalModels(worker=worker(WAITS))
        number, answer = wire.ask(
            "workspace/executeCommand", {"command": "midtoken.server.addModel", "arguments": [str(heard)]}
        )
        await wire.until(lambda: any(value.get("message") == "weights" for value in progress_of(wire)))
        wire.open("x")
        assert await wire.inline(0, 1) != []
        if way == "the progress":
            token = next(
                told["params"]["token"] for told in wire.told if told["params"].get("value", {}).get("cancellable")
            )
            wire.notify("window/workDoneProgress/cancel", {"token": token})
            assert (await answer)["state"] == "cancelled"
        else:
            wire.notify("$/cancelRequest", {"id": number})
            with pytest.raises(Exception, match="canceled"):
                await answer
        await wire.until(heard.exists)
        await wire.until(lambda: adding_progress(wire)[-1]["kind"] == "end")


async def test_a_process_that_does_not_stop_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(background, "STOP_TIMEOUT_S", 0.1)
    seen: list[float] = []
    task = asyncio.ensure_future(add_in_process(worker(STUCK), "x", lambda share, doing: seen.append(share)))
    async with asyncio.timeout(30):
        while not seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (FAILS, "x cannot be used: it is no GGUF file"),
        (DIES, "adding x ended with status 7: MemoryError: no memory"),
        (BABBLES, "adding x: its process says what cannot be understood"),
        (ENDS_AT_ONCE, "adding x ended with status 3: it said nothing"),
    ],
)
async def test_failures_are_one_line_and_the_server_lives(script: str, problem: str):
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        wire.server.state.local_models = LocalModels(worker=worker(script))
        said = await execute(wire, "midtoken.server.addModel", "x")
        assert said == {"state": "failed", "name": "x", "path": None, "problem": problem}
        wire.open("x")
        assert await wire.inline(0, 1) != []


async def test_a_worker_that_is_not_there():
    outcome = await add_in_process(("/nowhere/python",), "x", lambda share, doing: None)
    assert outcome == Outcome(
        "failed", "x", problem="the process that adds models cannot be started (No such file or directory)"
    )


@pytest.mark.parametrize("arguments", [(), (3,), (None,), ("",), ("a\nb",), ({"model": "x"},)])
async def test_arguments_that_are_no_name(arguments: tuple[object, ...]):
    async with Wire(FakeCompleter().load) as wire:
        await wire.initialize()
        said = await execute(wire, "midtoken.server.addModel", *arguments)
        assert said["state"] == "failed"
        assert "must be a name of the list" in said["problem"]


async def test_the_model_that_the_setting_names_is_loaded_once_it_is_there():
    """The setting named the model before it was added. It then serves without a restart; so does a newer version."""
    added: list[str] = []
    loaded: list[str] = []

    def load(model_dir=None, *, device="auto", threads=None):
        if not added:
            raise ModelFolderError(f"{model_dir} is still to be added: midtoken models add {model_dir}")
        loaded.append(str(model_dir))
        return FakeCompleter()

    async with Wire(load, {"model": "smol:135m"}) as wire:
        await wire.initialize()
        await wire.until(lambda: wire.messages())
        assert "smol:135m is still to be added: midtoken models add smol:135m" in wire.messages()[-1]
        added.append("smol:135m")
        wire.server.state.local_models = LocalModels(worker=worker(ADDS))
        await execute(wire, "midtoken.server.addModel", "smol:135m")
        await wire.until(lambda: loaded == ["smol:135m"])
        await wire.until(lambda: wire.server.state.model.state == "ready")
        await execute(wire, "midtoken.server.addModel", "other")
        await execute(wire, "midtoken.server.addModel", "smol:135m")
        await wire.until(lambda: loaded == ["smol:135m", "smol:135m"])


async def test_the_real_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put_ollama(tmp_path / ".ollama/models", "odd:1", b"no model")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    outcome = await add_in_process(background.WORKER, "odd:1", lambda share, doing: None)
    assert outcome.state == "failed"
    assert outcome.problem is not None
    assert outcome.problem.startswith("odd:1 cannot be used: ")
