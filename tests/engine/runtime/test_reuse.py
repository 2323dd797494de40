"""Reuse between keystrokes: typing along covers that were scored already, or going back, costs no forward pass."""

import pytest

from engine.types import CompletionRequest
from tests.fakes import fake_completer, scripted_model, toy_tokenizer

SCRIPT = "import numpy as np\nreturn self.name\n"


@pytest.mark.parametrize("kind", ["byte-level", "superword", "plain"])
def test_a_keystroke_along_the_completion_costs_at_most_one_pass_of_few_tokens(kind: str):
    tokenizer = toy_tokenizer(kind)
    completer, session = fake_completer(tokenizer, scripted_model(tokenizer, SCRIPT, end=0))
    typed = "import n"
    shown = completer.complete(CompletionRequest(typed)).completions[0].text
    assert shown == "umpy as np"
    calls = []
    for end in range(1, len(shown)):
        session.reset_counts()
        result = completer.complete(CompletionRequest(typed + shown[:end]))
        assert [c.text for c in result.completions] == [shown[end:]]
        # Decoded tokens are remembered. Only splits of the typed text that were not scored before are new.
        assert session.calls <= 1
        assert session.tokens <= 4
        calls.append(session.calls)
    assert 0 in calls


def test_typing_into_a_cover_that_is_scored_already_costs_nothing():
    tokenizer = toy_tokenizer("byte-level")
    completer, session = fake_completer(tokenizer, scripted_model(tokenizer, SCRIPT, end=0))
    completer.complete(CompletionRequest("import nu"))
    session.reset_counts()
    assert completer.complete(CompletionRequest("import numpy a")).completions[0].text == "s np"
    assert session.calls == 0


def test_going_back_to_what_was_typed_before_costs_nothing():
    tokenizer = toy_tokenizer("byte-level")
    completer, session = fake_completer(tokenizer, scripted_model(tokenizer, SCRIPT, end=0))
    first = completer.complete(CompletionRequest("import nu"))
    completer.complete(CompletionRequest("import num"))
    session.reset_counts()
    assert completer.complete(CompletionRequest("import nu")).completions == first.completions
    assert session.calls == 0
