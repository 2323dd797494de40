import json
import math
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import (
    HEALING_MODES,
    SPECULATIONS,
    STRATEGIES,
    Completion,
    CompletionRequest,
    CompletionResult,
    HealingParams,
    HealingReport,
    RequestError,
    SamplingParams,
    Snippet,
    StopParams,
    Timing,
)
from lsp_server.team.answers import answer_json, result_from
from lsp_server.team.events import Event, EventReader, comment, framed
from lsp_server.team.protocol import STATUS, Bounds, Refusal, TeamRequest, read_request, request_json
from tests.lsp_server.fakes import INFO

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
BOUNDS = Bounds()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = list(request_json(TeamRequest(CompletionRequest("a", budget_ms=10.0))))


@st.composite
def team_requests(draw):
    request = CompletionRequest(
        prefix=draw(TEXTS),
        suffix=draw(TEXTS),
        language=draw(TEXTS) or None,
        path=draw(TEXTS),
        repository=draw(TEXTS),
        imports=draw(TEXTS),
        extra_context=tuple(draw(st.lists(st.builds(Snippet, TEXTS, TEXTS, TEXTS), max_size=3))),
        words=draw(st.frozensets(TEXTS, max_size=5)),
        only_words=draw(st.booleans()),
        max_completions=draw(st.integers(1, 4)),
        budget_ms=draw(st.floats(1, BOUNDS.budget_ms)),
        context_tokens=draw(st.none() | st.integers(64, 4096)),
        healing=HealingParams(
            mode=draw(st.sampled_from(HEALING_MODES)), max_surprise_bits=draw(st.just(math.inf) | st.floats(0, 100))
        ),
        sampling=SamplingParams(strategy=draw(st.sampled_from(STRATEGIES)), seed=draw(st.none() | st.integers(0, 9))),
        stop=StopParams(
            max_new_tokens=draw(st.integers(1, BOUNDS.max_new_tokens)),
            lines=draw(st.sampled_from(["single", "multi"])),
            min_confidence=draw(st.floats(0, 1)),
            stop_strings=tuple(draw(st.lists(TEXTS.filter(bool), max_size=2))),
        ),
        speculation=draw(st.sampled_from(SPECULATIONS)),
    )
    return TeamRequest(request, draw(TEXTS), draw(st.booleans()))


def assert_good_or_refused(read: Callable[[], object], value: object) -> None:
    """An invalid object leads to a refusal in one line, and to nothing else."""
    refused = None
    try:
        read()
    except RequestError as error:
        refused = error
    assert refused or isinstance(value, dict)
    assert "\n" not in str(refused)


@given(team_requests())
def test_a_request_comes_through_as_it_was(asked):
    assert read_request(json.loads(json.dumps(request_json(asked))), BOUNDS) == asked


@given(JSON_VALUES | st.dictionaries(st.sampled_from(NAMES), JSON_VALUES))
def test_any_other_body_is_refused_in_one_line(body):
    assert_good_or_refused(lambda: read_request(body, BOUNDS), body)


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"max_new_tokens": 1_000_000}, "max_new_tokens is 1000000; it must be from 1 to 256"),
        ({"max_new_tokens": 10**400}, "max_new_tokens is 1e+300; it must be from 1 to 256"),
        ({"n": 17}, "n is 17; it must be from 1 to 16"),
        ({"n": True}, "n must be a whole number, but is true or false"),
        ({"suffx": ""}, "has no 'suffx'"),
        ({"prefix": None}, "prefix is missing"),
        ({"prefix": "\ud800"}, "half a surrogate pair"),
        ({"budget_ms": 1e9}, "it must be from 1 to 30000"),
        ({"healing": "never"}, "healing is 'never'; it must be one of off, k-step, exact"),
        ({"strategy": []}, "strategy is a list"),
        ({"words": ["a", 1]}, "words must be a list of texts, but is a number"),
        ({"extra_context": [{"txt": ""}]}, "extra_context has no 'txt'"),
        ({"words": ["a"] * 5000}, "words has 5000 elements; at most 4000"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"path": "x" * 2000}, "path has 2000 characters; at most 1024"),
    ],
)
def test_what_is_wrong_is_said_by_name(member, said):
    with pytest.raises(RequestError) as raised:
        read_request({"prefix": "a", **member}, BOUNDS)
    assert said in str(raised.value)


REPORTS = st.builds(
    HealingReport, TEXTS, TEXTS, st.integers(0, 5), st.integers(0, 500), st.floats(0, 50) | st.just(math.inf)
)
COMPLETIONS = st.builds(
    Completion,
    TEXTS,
    st.floats(-50, 0) | st.just(-math.inf),
    st.integers(0, 64),
    st.sampled_from(["end", "line", "budget"]),
    REPORTS,
    st.lists(st.tuples(st.integers(0, 30), st.floats(-50, 0)), max_size=3).map(tuple),
)


@given(st.lists(COMPLETIONS, max_size=3).map(tuple), st.integers(0, 9), st.booleans())
def test_a_result_comes_through_as_it_was(completions, reused, partial):
    result = CompletionResult(completions, Timing(1.0, 2.0, 3.0, 4.0, 10.0), 12, reused, partial)
    answer = json.loads(json.dumps(answer_json(result, INFO, "bundled"), allow_nan=False))
    assert result_from(answer) == result
    assert "/models" not in json.dumps(answer["model"]), "the path on the service's machine is nobody's business"


@given(JSON_VALUES)
def test_any_other_answer_is_refused(answer):
    assert_good_or_refused(lambda: result_from(answer), answer)


@given(st.lists(st.tuples(TEXTS.filter(lambda name: "\n" not in name and "\r" not in name), TEXTS)), st.data())
def test_events_come_through_however_the_stream_is_cut(pairs, data):
    events = [Event(name.strip(), {"text": text}) for name, text in pairs]
    stream = comment().join([b"", *map(framed, events)])
    reader = EventReader()
    found: list[Event] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == events


@pytest.mark.parametrize("stream", [b"data: {\n\n", b"data: \xff\n\n", b"data: " + b"[" * 5_000_000])
def test_a_stream_of_something_else_is_refused(stream):
    with pytest.raises(RequestError):
        list(EventReader().feed(stream))


@pytest.mark.parametrize("code", STATUS)
def test_a_refusal_survives_the_way_between_processes(code):
    refusal = pickle.loads(pickle.dumps(Refusal(code, "why", 2.0)))  # noqa: S301 - our own bytes
    assert (refusal.code, refusal.message, refusal.retry_after_s, refusal.status) == (code, "why", 2.0, STATUS[code])
