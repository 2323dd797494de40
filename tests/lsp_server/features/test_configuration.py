import asyncio
import threading
from typing import Any

import pytest

from engine import ModelFolderError
from lsp_server.features import configuration
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.wire import CAPABILITIES, Wire

pytestmark = pytest.mark.asyncio
PROGRESS = "$/progress"


class Gated:
    """A loader that waits for the gate and fails for models named "bad"."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.gate = threading.Event()
        self.loaded: list[tuple[object, str]] = []
        self.fake = FakeCompleter(notices=("CUDA was asked for but is not available; running on the CPU",))
        if is_open:
            self.gate.set()

    def __call__(self, model_dir=None, *, device="auto", threads=None):
        assert self.gate.wait(5)
        self.loaded.append((model_dir and model_dir.name, device))
        if model_dir and model_dir.name == "bad":
            raise ModelFolderError("no model folder at bad; give one")
        if model_dir and model_dir.name == "broken":
            raise RuntimeError("protobuf parsing failed")
        return self.fake


class Silent(Wire):
    """A client that never answers the server's requests."""

    def _take(self, message: dict[str, Any]) -> None:
        if not ("id" in message and "method" in message):
            super()._take(message)


def progress_of(wire: Wire) -> list[str]:
    return [told["params"]["value"]["kind"] for told in wire.told if told["method"] == PROGRESS]


async def test_the_client_is_asked_for_its_settings(monkeypatch):
    load = Gated()
    async with Wire(load, {"device": "cpu", "debounceMs": 0}, {"MIDTOKEN_BUDGET_MS": "700"}) as wire:
        await wire.initialize({"device": "cuda", "topP": 0.5})
        await wire.until(lambda: load.loaded)
        settings = wire.server.state.settings
        assert (settings.device, settings.debounce_ms, settings.top_p, settings.budget_ms) == ("cpu", 0, 0.5, 700)
        assert load.loaded == [(None, "cpu")]
        assert [asked["method"] for asked in wire.asked][:2] == ["client/registerCapability", "workspace/configuration"]


async def test_a_client_that_cannot_be_asked_sends_them():
    load = Gated()
    capabilities = {"textDocument": CAPABILITIES["textDocument"]}
    async with Wire(load) as wire:
        await wire.initialize({"device": "cpu"}, capabilities)
        await wire.until(lambda: load.loaded == [(None, "cpu")])
        wire.notify("workspace/didChangeConfiguration", {"settings": {"midtoken": {"budgetMs": 99}, "other": 1}})
        await wire.until(lambda: wire.server.state.settings.budget_ms == 99)
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: wire.server.state.settings.budget_ms == 1500)
        assert wire.asked == []
        assert progress_of(wire) == []


async def test_a_client_that_does_not_answer_gets_its_completions(monkeypatch):
    monkeypatch.setattr(configuration, "CONFIGURATION_TIMEOUT_S", 0.01)
    async with Silent(Gated()) as wire:
        await wire.initialize({"topP": 0.5})
        wire.open("x")
        assert await wire.inline(0, 1) != []
        assert wire.server.state.settings.top_p == 0.5


GIVEN = {"exclude": ["secret.py"], "languages": ["python"], "budgetMs": 900}


async def with_settings_then(answer: object) -> Wire:
    """A client that gave its settings once, and from then on answers the request for them with ``answer``."""
    wire = Wire(Gated(), GIVEN)
    await wire.__aenter__()
    await wire.initialize()
    await wire.until(lambda: wire.server.state.settings.budget_ms == 900)
    wire.replies["workspace/configuration"] = answer
    return wire


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32601, "message": "not today"}},
        {"error": 3},
        {"result": None},
        {"result": {}},
        {"result": []},
        {"result": ["fast"]},
        {"result": [{"exclude": "x", "languages": 7, "budgetMs": "soon"}]},
        {},
    ],
    ids=repr,
)
async def test_settings_that_were_told_once_stay_when_the_client_refuses(answer, monkeypatch):
    wire = await with_settings_then(answer)
    monkeypatch.setattr(configuration, "CONFIGURATION_TIMEOUT_S", 0.01)
    try:
        wire.notify("workspace/didChangeConfiguration")
        await wire.until(lambda: len([a for a in wire.asked if a["method"] == "workspace/configuration"]) == 2)
        wire.open("x", "file:///project/secret.py")
        wire.open("x")
        assert await wire.inline(0, 1, uri="file:///project/secret.py") == []
        assert await wire.inline(0, 1) != []
        await wire.until(lambda: not wire.server._under_way)
        settings = wire.server.state.settings
        assert (settings.exclude, settings.languages, settings.budget_ms) == (("secret.py",), ("python",), 900)
    finally:
        await wire.__aexit__()


async def test_a_late_answer_counts_unless_a_later_question_was_answered(monkeypatch):
    monkeypatch.setattr(configuration, "CONFIGURATION_TIMEOUT_S", 0.01)
    wire = await with_settings_then({})
    try:
        state = wire.server.state
        for _ in range(2):
            wire.notify("workspace/didChangeConfiguration")
        await wire.until(lambda: len([a for a in wire.asked if a["method"] == "workspace/configuration"]) == 3)
        await wire.until(lambda: not wire.server._under_way)
        assert state.settings.budget_ms == 900
        first, second = [a["id"] for a in wire.asked if a["method"] == "workspace/configuration"][1:]
        wire.send(id=second, result=[{"budgetMs": 800}])
        await wire.until(lambda: state.settings.budget_ms == 800)
        wire.send(id=first, result=[{"budgetMs": 700}])
        wire.open("x")
        assert await wire.inline(0, 1) != []
        await wire.until(lambda: not wire.server._under_way)
        assert state.settings.budget_ms == 800
    finally:
        await wire.__aexit__()


async def test_bad_settings_are_reported_once_by_name():
    async with Wire(Gated(), {"budgetMs": "soon", "colour": "red"}, {"MIDTOKEN_TOP_P": "7"}) as wire:
        await wire.initialize({"trace": "loud"})
        for _ in range(3):
            wire.notify("workspace/didChangeConfiguration", {"settings": {}})
        wire.open("x")
        assert await wire.inline(0, 1) != []
        await wire.until(lambda: len([a for a in wire.asked if a["method"] == "workspace/configuration"]) == 4)
        problems = [message for message in wire.messages() if "ignored" in message]
        assert len(problems) == 4
        for name in ("budgetMs", "colour", "MIDTOKEN_TOP_P", "trace"):
            assert sum(name in problem for problem in problems) == 1


async def test_nothing_is_kept_of_a_change_that_is_over():
    async with Wire(Gated(), {"device": "cpu"}) as wire:
        await wire.initialize()
        for number in range(50):
            wire.configuration = {"budgetMs": 500 + number}
            wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: wire.server.state.settings.budget_ms == 549)
        await wire.until(lambda: not wire.server._under_way)
        assert len(wire.server.protocol._request_futures) < 10
        await wire.until(lambda: wire.server.work_done_progress.tokens == {})
        created = [asked for asked in wire.asked if asked["method"] == "window/workDoneProgress/create"]
        assert len(created) <= 1, "no progress is shown where nothing is loaded"


async def test_an_error_in_a_change_of_settings_is_told_once_and_the_server_lives(monkeypatch):
    async with Wire(Gated()) as wire:
        await wire.initialize()
        wire.open("x")
        assert await wire.inline(0, 1) != []
        monkeypatch.setattr(type(wire.server.state), "configure", None)

        def told() -> int:
            return len([text for text in wire.messages() if "the settings could not be taken (TypeError" in text])

        for _ in range(2):
            wire.notify("workspace/didChangeConfiguration", {"settings": None})
            await wire.until(lambda: told() == 1)
        assert await wire.inline(0, 1) != []
        assert told() == 1


async def test_settings_that_are_no_object_are_reported():
    async with Wire(Gated(), "fast") as wire:
        await wire.initialize([1])
        await wire.until(lambda: len([message for message in wire.messages() if "not an object" in message]) == 2)


async def test_requests_wait_for_the_model_as_long_as_their_budget_lasts():
    load = Gated(is_open=False)
    async with Wire(load, {"budgetMs": 3000}) as wire:
        await wire.initialize()
        wire.open("x")
        _, early = wire.ask_inline(0, 1)
        await wire.until(lambda: progress_of(wire) == ["begin"])
        load.gate.set()
        assert (await early)["items"] != []
        await wire.until(lambda: progress_of(wire) == ["begin", "end"])
        assert wire.messages() == ["Midtoken: CUDA was asked for but is not available; running on the CPU"]


async def test_requests_are_empty_when_their_budget_ends_before_the_model_is_there():
    load = Gated(is_open=False)
    async with Wire(load, {"budgetMs": 20}) as wire:
        await wire.initialize()
        wire.open("x")
        assert await wire.inline(0, 1) == []
        load.gate.set()


async def test_no_progress_is_begun_for_a_model_that_is_there_already():
    wire = Wire(Gated())
    wire.answers_progress = False
    async with wire:
        await wire.initialize()
        wire.open("x")
        assert await wire.inline(0, 1) != []
        assert progress_of(wire) == []


@pytest.mark.parametrize(("name", "reason"), [("bad", "no model folder at bad; give one"), ("broken", "RuntimeError")])
async def test_a_model_that_fails_to_load_is_told_once_and_answers_empty(name, reason):
    load = Gated()
    async with Wire(load, {"model": f"/{name}"}) as wire:
        await wire.initialize()
        wire.open("x")
        assert await wire.inline(0, 1) == []
        await wire.until(wire.messages)
        assert await wire.inline(0, 1) == []
        [message] = wire.messages()
        assert reason in message
        wire.configuration = {"model": "/good"}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: len(load.loaded) == 2)
        assert await wire.inline(0, 1) != []


async def test_the_model_is_loaded_again_only_if_it_is_another():
    load = Gated()
    async with Wire(load, {"budgetMs": 900}) as wire:
        await wire.initialize()
        await wire.until(lambda: len(load.loaded) == 1)  # one that has not begun is dropped for the next
        wire.configuration = {"budgetMs": 800}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: wire.server.state.settings.budget_ms == 800)
        wire.configuration = {"device": "cpu"}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: len(load.loaded) == 2)
        assert load.loaded == [(None, "auto"), (None, "cpu")]
        await asyncio.sleep(0.01)


async def test_the_number_of_threads_is_the_models():
    asked: list[object] = []

    def load(model_dir=None, *, device="auto", threads=None):
        asked.append(threads)
        return FakeCompleter()

    async with Wire(load, environment={"MIDTOKEN_THREADS": "2"}) as wire:
        await wire.initialize()
        await wire.until(lambda: asked == [2])
        for bad in (0, 1.5, "many", True, 10**6):
            wire.configuration = {"threads": bad}
            wire.notify("workspace/didChangeConfiguration", {"settings": None})
        wire.configuration = {"threads": 1}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: asked == [2, 1])


async def test_what_must_not_be_read_is_known_before_anything_is():
    load = Gated()
    async with Wire(load, {"exclude": ["*.py"]}) as wire:
        await wire.initialize()
        wire.open("x")
        assert await wire.inline(0, 1) == []
        assert load.fake.requests == []


async def test_another_model_is_loaded_beside_the_one_that_serves():
    gate = threading.Event()

    def load(model_dir=None, *, device="auto", threads=None):
        if model_dir is None:
            return FakeCompleter(("old",))
        assert gate.wait(5)
        if model_dir.name == "bad":
            raise ModelFolderError("no model folder at bad; give one")
        return FakeCompleter(("new",))

    async def shown(text: str) -> str:
        wire.change([{"text": text}])
        [item] = await wire.inline(0, len(text))
        return str(item["insertText"])

    async with Wire(load) as wire:
        await wire.initialize()
        wire.open("")
        assert await shown("a") == "aold"
        already = len(progress_of(wire))
        wire.configuration = {"model": "/other"}
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: progress_of(wire)[already:] == ["begin"])
        assert await shown("b") == "bold"
        gate.set()
        await wire.until(lambda: progress_of(wire)[already:] == ["begin", "end"])
        assert await shown("a") == "anew", "what the model before said is not shown any more"
        for _ in range(2):
            wire.configuration = {"model": "/bad"}
            wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: wire.messages() and wire.server.state.model.state == "ready")
        assert wire.messages() == ["Midtoken: the model before stays in use: no model folder at bad; give one"]
        assert await shown("c") == "cnew"
