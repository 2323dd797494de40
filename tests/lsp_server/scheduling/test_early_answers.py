"""Nothing that was shown is taken back: each answer of a call begins with the one before, for every text and doubt."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import CompletionResult, StopParams
from engine.decoding.stopping import StopTracker
from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of
from lsp_server.completion.prompt import Code
from lsp_server.completion.shown import begun, fitted
from lsp_server.filters import errors
from lsp_server.scheduling.model_call import ModelCall
from tests.lsp_server.fakes import completion_of, result_of
from tests.lsp_server.scheduling.fake_calls import place

TOKENS = ("a", "v", " import", " os", ".", "(", ")", "[", '"', ", ", " = ", "f(a)", ":", ";", " ", "\n    ", "return")
texts = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12)
PLACES = (
    ("python", "import os\n", "\n"),
    ("python", "x = f(", ")\n"),
    ("python", "def g(a):\n    ", "\n    return f(a)\n"),
    ("python", "a.", "(v)\nf(a)\n"),
    ("typescript", "function g(a) {\n    ", "\n}\n"),
    ("typescript", "const x = f(", ");\nf(a)\n"),
)
places = st.sampled_from(PLACES)


@pytest.fixture(autouse=True, scope="module")
def _no_limit_on_parsing() -> Iterator[None]:
    """A busy machine judges as much as any other."""
    with patch.object(errors, "LIMIT_S", math.inf):
        yield


def code_of(language: str, before: str, after: str) -> Code:
    syntax = syntax_of(language)
    return Code(before, after, syntax, scan(before, syntax))


def answers(where: tuple[str, str, str], tokens: list[str], logprobs: list[float], stop: StopParams) -> list[str]:
    """What a call shows if an early answer is given after each token and the whole one at its end."""
    code = code_of(*where)
    call = ModelCall(place(*where[1:]), shared=True, so_far=lambda written: begun(written, code, "exact"))
    tracker, shown = StopTracker(stop, code.prefix.rpartition("\n")[2]), []
    for token, logprob in zip(tokens, logprobs, strict=False):
        if tracker.push(token.encode(), logprob) is not None:
            break
        call.written = tracker.decided
        if (part := call.certain_part()) is not None and part.completions:
            call.answers_early(part, None)
            shown.append(part.completions[0].text)
    tracker.finish("end")
    whole = fitted(result_of(tracker.text), code) if tracker.text else result_of()
    whole = call.keeping_what_was_shown(whole)
    return [*shown, *(completion.text for completion in whole.completions[:1])] or [""]


@given(
    places,
    texts,
    st.lists(st.sampled_from([0.0, -0.1, -1.0, -3.0]), min_size=12, max_size=12),
    st.sampled_from([0.0, 0.05, 0.15, 0.5, 1.0]),
    st.sampled_from(["single", "multi"]),
)
@example(("python", "import os\n", "\n"), ["v", " import", " os", ".", "a", '"'], [0.0] * 12, 0.0, "single")
@example(("python", "f(a)\n", "\nreturn f(a)\n"), ["return", " ", "f(a)"], [0.0] * 12, 0.0, "single")
def test_an_answer_begins_with_every_earlier_one(where, tokens, logprobs, least, lines):
    shown = answers(where, tokens, logprobs, StopParams(40, lines=lines, min_confidence=least))
    for early, later in pairwise(shown):
        assert later.startswith(early)


@given(places, texts)
def test_without_an_early_answer_the_whole_one_is_as_it_was(where, tokens):
    call = ModelCall(place(*where[1:]), shared=True)
    whole = fitted(result_of("".join(tokens)), code_of(*where))
    assert call.keeping_what_was_shown(whole) is whole


def test_what_stays_has_the_figures_of_the_whole_and_no_end_of_its_own() -> None:
    call = ModelCall(place(""), shared=True)
    call.answers_early(result_of("np.zeros"), None)
    whole: CompletionResult = replace(result_of("np"), prompt_tokens=99)
    kept = call.keeping_what_was_shown(whole)
    assert kept == replace(whole, completions=(replace(completion_of("np.zeros"), stop="cut"),))


@pytest.mark.parametrize(
    ("language", "before", "written", "early"),
    [
        ("python", "v = 1\n", "v import v, ", "v"),
        ("python", "v = 1\n", "v(v, [v, ", "v(v, [v,"),
        ("python", "v = 1\n", "for v in v", "for v in"),
        ("python", "v = 1\n", "async def g", "async def"),
        ("python", "v = 1\n", "v(v)\nv import v, ", "v(v)"),
        ("python", "v = 1\n", "v['a, b", "v['a,"),
        ("typescript", "let v = 1\n", "v(v, [v, ", "v(v, [v,"),
        ("typescript", "let v = 1\n", "v v, ", "v"),
    ],
)
def test_what_no_continuation_makes_right_is_not_shown_early(language, before, written, early):
    part = begun(written, code_of(language, before, "\n"), "exact")
    assert part is not None
    assert [only.text for only in part.completions] == [early]
