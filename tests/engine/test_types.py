"""The one mutable value: the cancellation token."""

import dataclasses
import threading

import pytest

from engine import types
from engine.errors import Cancelled, RequestError
from engine.types import CancellationToken, CompletionRequest


def test_a_token_starts_out_waited_for():
    token = CancellationToken()
    assert not token.cancelled
    token.raise_if_cancelled()


def test_a_cancelled_token_raises_from_then_on():
    token = CancellationToken()
    token.cancel()
    token.cancel()
    assert token.cancelled
    for _ in range(2):
        with pytest.raises(Cancelled):
            token.raise_if_cancelled()


def test_cancelling_is_seen_by_other_threads():
    token, seen = CancellationToken(), threading.Event()

    def wait_until_cancelled():
        while not token.cancelled:
            pass
        seen.set()

    thread = threading.Thread(target=wait_until_cancelled)
    thread.start()
    token.cancel()
    thread.join(timeout=5)
    assert seen.is_set()


@pytest.mark.parametrize("name", sorted(name for name, value in vars(types).items() if dataclasses.is_dataclass(value)))
def test_values_are_frozen(name):
    assert getattr(types, name).__dataclass_params__.frozen


def test_requests_with_equal_fields_are_equal():
    assert CompletionRequest("a", "b") == CompletionRequest("a", "b")
    assert CompletionRequest("a", "b") != CompletionRequest("a", "c")


def test_context_that_is_no_snippet_is_refused():
    with pytest.raises(RequestError, match=r"extra_context holds something other than Snippet; write Snippet\(text\)"):
        CompletionRequest("a", extra_context=("b",))  # type: ignore[arg-type]  # the mistake that is tested


def test_who_wants_to_know_of_a_cancellation_is_told_once_and_never_too_late():
    token, told = CancellationToken(), []
    token.on_cancel(lambda: told.append("before"))
    token.cancel()
    token.cancel()
    token.on_cancel(lambda: told.append("after"))
    assert told == ["before", "after"]
