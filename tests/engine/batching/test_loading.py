"""A model folder on disk serves many requests as it serves one."""

from functools import partial

import pytest

from engine import BatchingCompleter, Completer, CompletionRequest, SamplingParams, StopParams
from engine.batching.work import Interruption, Pass
from engine.runtime import graph
from engine.runtime.graph import Device
from engine.runtime.kv_memory import DeviceMemory
from tests.engine.batching.sessions import Caller
from tests.engine.runtime.caches import ids_of
from tests.lsp_server.commands.command_line import make_model_folder

PREFIXES = ("import nump", "def abc(", "for i in ran", "x = 1\nretu", "class A", "if x == 1:\n    re")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model_folder(folder)
    return folder


@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams("sample", seed=1), SamplingParams("kl", seed=2)])
def test_with_float32_weights_results_are_those_of_a_completer_but_for_rounding(folder, sampling):
    requests = [
        CompletionRequest(prefix, sampling=sampling, stop=StopParams(max_new_tokens=10, lines="multi"))
        for prefix in PREFIXES
    ]
    alone = Completer.load(folder, device="cpu", threads=1)
    completer = BatchingCompleter.load(folder, device="cpu", threads=1, seats=3)
    assert completer.statistics.seats == 3
    callers = [Caller(partial(completer.complete, request, document=request.prefix)) for request in requests]
    found = [caller.result().completions for caller in callers]
    assert any(found)
    for request, completions in zip(requests, found, strict=True):
        expected = alone.complete(request).completions
        assert [c.text for c in completions] == [c.text for c in expected]
        assert [c.logprob for c in completions] == pytest.approx([c.logprob for c in expected], abs=1e-5)


def test_there_are_as_many_seats_as_memory_has_room_for(folder):
    assert BatchingCompleter.load(folder, device="cpu", threads=1, seats=5, memory_mb=1000).statistics.seats == 5
    assert BatchingCompleter.load(folder, device="cpu", threads=1, memory_mb=0).statistics.seats == 1


@pytest.fixture
def device(monkeypatch):
    """A device with memory of its own, in place of a GPU: onnxruntime's tensors on the CPU."""
    monkeypatch.setattr(graph, "choose_device", lambda _: Device("cpu", own_memory=True))


def test_requests_share_the_passes_of_a_device_and_get_the_same_completions_there(folder, device):
    requests = [CompletionRequest(prefix, stop=StopParams(max_new_tokens=10, lines="multi")) for prefix in PREFIXES]
    alone = [Completer.load(folder, threads=1).complete(request).completions for request in requests]
    completer = BatchingCompleter.load(folder, threads=1, seats=4)
    assert completer.statistics.seats == 4
    for _ in range(2):
        callers = [Caller(partial(completer.complete, request, document=request.prefix)) for request in requests]
        found = [caller.result().completions for caller in callers]
        assert [[c.text for c in each] for each in found] == [[c.text for c in each] for each in alone]


@pytest.mark.parametrize("most", [5, 1])
def test_a_device_has_as_many_seats_as_its_memory_has_room_for_and_says_so(folder, device, monkeypatch, most):
    reserve = DeviceMemory.reserve

    def little(memory, slots):
        if memory.shape[0] > most:
            raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1")
        return reserve(memory, slots)

    monkeypatch.setattr(DeviceMemory, "reserve", little)
    completer = BatchingCompleter.load(folder, threads=1)
    assert completer.statistics.seats == most
    assert completer.info.context_length == 256
    assert completer.notices == (f"no memory for 16 key/value caches of 256 tokens; there are {most} of 256",)
    assert completer.complete(CompletionRequest("import nump")).completions


def test_on_a_device_all_idle_slots_go_along_in_a_pass(folder, device):
    completer = BatchingCompleter.load(folder, threads=1, seats=9)
    queue = completer._scheduler._waiting
    works = [Pass(completer._scheduler._session, slot, 256, Interruption(), ids_of(1), 0, ()) for slot in (0, 4, 8)]
    for work in works:
        queue.add(work)
    assert queue.take() == works
