import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest

from engine import CancellationToken, Cancelled, CompletionRequest, ModelFolderError, RequestError
from lsp_server.scheduling.model import ModelChoice, ModelHost
from lsp_server.scheduling.worker import ModelThread
from tests.lsp_server.fakes import FakeCompleter

pytestmark = pytest.mark.asyncio


def text_of(host: ModelHost) -> str:
    result = host.complete(CompletionRequest("x"), CancellationToken())
    assert result is not None
    return result.completions[0].text


class SlowLoader:
    """Loads when told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.loaded: list[object] = []

    def __call__(self, model_dir=None, *, device="auto", threads=None):
        assert self.gate.wait(5)
        self.loaded.append(model_dir)
        if str(model_dir) == "bad":
            raise ModelFolderError("no model folder at bad")
        return FakeCompleter((str(model_dir),))


async def test_requests_wait_for_the_model_no_longer_than_they_may():
    load = SlowLoader()
    host = ModelHost(ModelThread(), load)
    assert not await host.wait(0.0)
    loading = asyncio.ensure_future(host.load(ModelChoice()))
    assert not await host.wait(0.01)
    waiting = asyncio.ensure_future(host.wait(5))
    await asyncio.sleep(0)
    load.gate.set()
    assert await waiting
    assert await loading is not None
    assert host.state == "ready"
    assert await host.wait(0.0)
    assert await asyncio.to_thread(host.close, 5)
    assert host.complete(CompletionRequest("x"), CancellationToken()) is None


async def test_the_same_model_is_loaded_once_and_another_replaces_it():
    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load)
    assert await host.load(ModelChoice()) is not None
    assert await host.load(ModelChoice()) is None
    assert await host.load(ModelChoice(Path("other"))) is not None
    assert load.loaded == [None, Path("other")]
    assert text_of(host) == "other"
    assert await asyncio.to_thread(host.close, 5)


async def test_a_model_that_was_replaced_is_gone_and_its_memory_given_back(monkeypatch):
    given_back: list[object] = []
    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load)
    await host.load(ModelChoice())
    assert host.completer is not None
    before = weakref.ref(host.completer)
    monkeypatch.setattr("lsp_server.scheduling.model.give_back_free_memory", lambda: given_back.append(before()))
    gc.disable()  # two models are in memory now, so it must not wait for the garbage collector
    try:
        await host.load(ModelChoice(Path("other")))
    finally:
        gc.enable()
    assert given_back == [None]
    assert await asyncio.to_thread(host.close, 5)


async def test_only_the_model_that_was_wanted_last_counts():
    load = SlowLoader()
    host = ModelHost(ModelThread(), load)
    loads = [asyncio.ensure_future(host.load(ModelChoice(Path(name)))) for name in ("bad", "overtaken", "good")]
    await asyncio.sleep(0)
    load.gate.set()
    assert [await loading and loading.result() for loading in loads[:2]] == [None, None]
    assert isinstance(await loads[2], FakeCompleter)
    assert host.state == "ready"
    assert Path("overtaken") not in load.loaded
    assert host.serial == 0
    assert await asyncio.to_thread(host.close, 5)


async def test_the_model_before_serves_while_another_is_loaded_beside_it():
    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load)
    await host.load(ModelChoice(Path("old")))
    load.gate.clear()
    loading = asyncio.ensure_future(host.load(ModelChoice(Path("new"))))
    await asyncio.sleep(0)
    assert host.state == "loading"
    assert await host.wait(0.0)
    assert text_of(host) == "old"
    load.gate.set()
    await loading
    assert (host.state, host.serial, text_of(host)) == ("ready", 1, "new")
    assert await asyncio.to_thread(host.close, 5)


async def test_a_model_that_fails_leaves_the_one_before_and_is_tried_again():
    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load)
    await host.load(ModelChoice(Path("good")))
    for _ in range(2):
        with pytest.raises(ModelFolderError):
            await host.load(ModelChoice(Path("bad")))
    assert (host.state, host.problem, text_of(host)) == ("ready", "no model folder at bad", "good")
    assert await host.wait(0.0)
    await host.load(ModelChoice(Path("good")))
    assert host.problem is None
    assert await asyncio.to_thread(host.close, 5)


async def test_without_any_model_it_has_failed():
    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load)
    with pytest.raises(ModelFolderError):
        await host.load(ModelChoice(Path("bad")))
    assert (host.state, host.info) == ("failed", None)
    assert not await host.wait(5)
    assert await asyncio.to_thread(host.close, 5)


async def test_a_load_that_hangs_is_not_waited_for_and_told():
    load = SlowLoader()
    host = ModelHost(ModelThread(), load)
    loading = asyncio.ensure_future(host.load(ModelChoice()))
    await asyncio.sleep(0)
    assert await asyncio.to_thread(host.close, 5)
    assert host.is_loading
    load.gate.set()
    loading.cancel()


class Trials:
    """A probe that continues for some folders until it is cancelled, and refuses others."""

    def __init__(self) -> None:
        self.tried: list[Path | None] = []
        self.begun = threading.Event()

    def __call__(self, folder: Path | None, cancel: CancellationToken) -> None:
        self.tried.append(folder)
        if folder == Path("endless"):
            self.begun.set()
            while not cancel.cancelled:
                threading.Event().wait(0.001)
            raise Cancelled
        if folder == Path("hostile"):
            raise ModelFolderError("hostile took longer than 60 s")


async def test_a_model_is_tried_before_it_is_loaded():
    load, trials = SlowLoader(), Trials()
    load.gate.set()
    host = ModelHost(ModelThread(), load, trials)
    with pytest.raises(ModelFolderError):
        await host.load(ModelChoice(Path("hostile")))
    assert (host.state, host.problem, load.loaded) == ("failed", "hostile took longer than 60 s", [])
    assert await host.load(ModelChoice(Path("good"))) is not None
    assert trials.tried == [Path("hostile"), Path("good")]
    assert await asyncio.to_thread(host.close, 5)


async def test_a_trial_ends_when_another_model_is_wanted():
    load, trials = SlowLoader(), Trials()
    load.gate.set()
    host = ModelHost(ModelThread(), load, trials)
    hanging = asyncio.ensure_future(host.load(ModelChoice(Path("endless"))))
    await asyncio.to_thread(trials.begun.wait, 5)
    assert await asyncio.wait_for(host.load(ModelChoice(Path("good"))), 5) is not None
    assert await hanging is None
    assert (host.state, load.loaded) == ("ready", [Path("good")])
    assert await asyncio.to_thread(host.close, 5)


async def test_a_trial_ends_with_the_server():
    trials = Trials()
    host = ModelHost(ModelThread(), SlowLoader(), trials)
    hanging = asyncio.ensure_future(host.load(ModelChoice(Path("endless"))))
    await asyncio.to_thread(trials.begun.wait, 5)
    assert await asyncio.to_thread(host.close, 5)
    assert await asyncio.wait_for(hanging, 5) is None
    assert not host.is_loading


async def test_a_name_is_looked_up_before_it_is_loaded():
    def find(model):
        if model == "unknown":
            raise RequestError("no model is called 'unknown'")
        return Path("/store") / model

    load = SlowLoader()
    load.gate.set()
    host = ModelHost(ModelThread(), load, find=find)
    await host.load(ModelChoice("mine"))
    assert load.loaded == [Path("/store/mine")]
    with pytest.raises(RequestError):
        await host.load(ModelChoice("unknown"))
    assert (host.state, host.problem) == ("ready", "no model is called 'unknown'")
    assert text_of(host) == "/store/mine"
    assert await asyncio.to_thread(host.close, 5)
