import io
import json

import pytest

from benchmarks.keystrokes.observed_server import READING, Observer, Passes
from engine import CancellationToken, Cancelled, CompletionRequest, RequestError
from tests.lsp_server.fakes import FakeCompleter


class Passing(FakeCompleter):
    """Makes forward passes: two for each request."""

    def __init__(self, passes: Passes) -> None:
        super().__init__()
        self._forward = passes.count(lambda: None)

    def complete(self, request, cancel=None, on_text=None):
        self._forward()
        self._forward()
        return super().complete(request, cancel, on_text)


def test_tokens_that_are_read_and_written_are_told_apart():
    passes = Passes()
    forward, step = passes.count(lambda session, ids: None), passes.count(lambda session, ids: None, writes=True)
    forward("session", [1, 2, 3])
    forward("session", [4])
    step("session", [5, 6])
    taken = passes.take()
    assert (len(taken["passes"]), taken["read"], taken["written_tokens"]) == (3, 3, 3)
    assert passes.take() == {"passes": [], "read": 0, "written_tokens": 0}


def test_what_is_read_in_advance_is_a_line_too():
    class Reader(FakeCompleter):
        def read(self, request, cancel, rest=0.0):
            passes.count(lambda session, ids: None)("session", [1] * 40)

    stream, passes = io.StringIO(), Passes()
    completer = Observer(stream, Reader().load, passes).load(None, device="cpu")
    completer.read(CompletionRequest("xy"), CancellationToken())
    _, line = map(json.loads, stream.getvalue().splitlines())
    assert (line["context"], line["outcome"], line["read"], len(line["passes"])) == ("xy", READING, 40, 1)


def test_each_call_is_a_line_with_its_forward_passes_and_its_end():
    stream, passes = io.StringIO(), Passes()
    completer = Observer(stream, Passing(passes).load, passes).load(None, device="cpu")
    assert completer.notices == ()
    assert completer.info == FakeCompleter().info
    result = completer.complete(CompletionRequest("x" * 500 + "y", max_completions=2))
    assert [completion.text for completion in result.completions] == ["one", "two"]
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        completer.complete(CompletionRequest("!slow"), token)
    with pytest.raises(RequestError):
        completer.complete(CompletionRequest("!error"))
    loaded, *lines = map(json.loads, stream.getvalue().splitlines())
    assert set(loaded) == {"loaded"}
    assert [line["outcome"] for line in lines] == ["finished", "cancelled", "failed"]
    assert [line["texts"] for line in lines] == [["one", "two"], [], []]
    assert [len(line["passes"]) for line in lines] == [2, 2, 2]
    assert lines[0]["context"] == "x" * 199 + "y"
    assert all(line["started"] <= line["passes"][0] <= line["ended"] for line in lines)
