import io
import json

import pytest

from benchmarks.keystrokes.observed_server import Observer, Passes
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
