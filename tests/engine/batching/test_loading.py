"""A model folder on disk serves many requests as it serves one."""

from functools import partial

import pytest

from engine import BatchingCompleter, Completer, CompletionRequest, SamplingParams, StopParams
from tests.engine.batching.sessions import Caller
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
