import json
import math
from dataclasses import replace

import pytest

from benchmarks.keystrokes.accounts import Call, account, read_calls, serves, stop_times
from benchmarks.keystrokes.editor import Request, TypingSession
from benchmarks.keystrokes.observed_server import READING
from benchmarks.keystrokes.typing_model import Key


def call(context: str, *texts: str, at: float = 0.0, passes: int = 2, outcome: str = "finished") -> Call:
    return Call(
        context, at, at + 0.05, outcome, texts, "".join(texts[:1]), tuple(at + 0.01 * (n + 1) for n in range(passes))
    )


def answered(context: str, shown: str = "", sent: float = 0.0, took: float = 0.06) -> Request:
    return Request(context, sent, sent + took, shown=shown)


@pytest.mark.parametrize(
    ("made", "request_", "expected"),
    [
        (call("x = re", "turn"), answered("x = re", "turn"), True),
        (call("x = re", "turn"), answered("x = re"), True),
        (call("x = re", "turn"), answered("x = ret", "urn", sent=1), True),
        (call("x = re", "turn value"), answered("x = ret", "urn", sent=1), True),
        (call("x = re", "turn"), answered("x = ret", "ry", sent=1), False),
        (call("x = re", "turn"), answered("x = rex", "", sent=1), False),
        (call("x = re", "turn", outcome="cancelled"), answered("x = re", "turn"), True),
        (call("x = re", "turn it", outcome="cancelled"), answered("x = re", "turn"), True),
        (call("x = re", "turn it", outcome="cancelled"), answered("x = ret", "urn", sent=0.01), True),
        (call("x = re", "turn", outcome="cancelled"), answered("x = re"), False),
        (call("x = re", "turn", outcome="cancelled"), answered("x = re", "ady"), False),
        (call("x = re", "turn", outcome="ahead"), answered("x = re", "turn"), True),
        (call("x = re", "turn", at=5), answered("x = re", "turn"), False),
        (call("x = re", "turn"), Request("x = re", 0.0), False),
        (call("y" * 200, "turn"), answered("z" * 20 + "y" * 200, "turn"), True),
        (call("y" * 200, "turn"), answered("y" * 200 + "t", "urn"), True),
    ],
)
def test_which_answers_a_call_may_have_served(made, request_, expected):
    assert serves(made, request_) is expected


def test_the_figures():
    cancelled = Request("a", 0.0, 0.04, cancelled_s=0.03, stale=True)
    first = answered("ab", "cd", sent=0.1)
    second = answered("abc", "d", sent=0.2, took=0.002)
    session = TypingSession([cancelled, first, second], suggestions=1, followed=1, withdrawn=0)
    session.keys = [Key("type", insert="a"), Key("accept", insert="cd"), Key("accept word", insert="efg")]
    calls = [call("a", outcome="cancelled", passes=3), call("ab", "cd", at=0.11, passes=4)]
    figures = account([session], calls)
    assert figures.requests == 3
    assert figures.latency_ms == pytest.approx((60.0, 2.0))
    assert figures.without_pass == 1
    assert (figures.passes, figures.wasted) == (7, 3)
    assert figures.stop_ms == pytest.approx((20.0,))
    assert (figures.accepted, figures.accepted_words, figures.kept, figures.saved) == (1, 1, 5, 3)


def test_a_call_that_was_stopped_is_of_use_up_to_the_last_answer_that_it_gave():
    shown = answered("re", "turn", sent=0.0, took=0.035)
    figures = account([TypingSession([shown])], [call("re", "turn x", outcome="cancelled", passes=4)])
    assert (figures.passes, figures.wasted, figures.without_pass) == (4, 1, 0)


def test_what_is_asked_again_for_more_is_no_request_that_a_key_waits_for():
    early, again = (
        answered("re", "turn", took=0.02),
        replace(answered("re", "turn x", sent=0.05, took=0.001), again=True),
    )
    figures = account([TypingSession([early, again])], [call("re", "turn x", passes=4)])
    assert figures.requests == 1
    assert figures.latency_ms == pytest.approx((20.0,))
    assert figures.wasted == 0


def test_a_call_that_goes_on_after_its_request_was_cancelled_is_of_use_if_it_serves_the_next():
    cancelled = Request("re", 0.0, 0.04, cancelled_s=0.03, stale=True)
    session = TypingSession([cancelled, answered("ret", "urn", sent=0.031, took=0.03)])
    figures = account([session], [call("re", "turn", passes=5)])
    assert (figures.passes, figures.wasted, figures.stop_ms) == (5, 0, ())
    assert figures.without_pass == 0, "passes of the call ran while the request waited"


@pytest.mark.parametrize(
    ("contexts", "written", "stopped_ms"),
    [
        (("re", "rex", "rexy", "rexyz"), "turn", 40.0),  # another request came after the first one
        (("re", "ret", "rety", "retyz"), "turn", 30.0),  # at first it still wrote the typed text
        (("re", "ret", "retu", "retur"), "turn", 20.0),  # it always did, so it was handed on until then
        (("re", "r", "re", "ret"), "turn", 40.0),  # a deletion
        (("re", "ret", "retu", "retur"), "", 40.0),  # it was still reading
        (("re", "re", "ret", "retu"), "", 30.0),  # the same request came again
    ],
)
def test_the_time_to_stop_counts_from_the_first_cancellation_that_left_the_call_without_use(
    contexts, written, stopped_ms
):
    cancelled_s = (0.01, 0.02, 0.03, None)
    requests = [
        Request(context, 0.01 * number, cancelled_s=at)
        for number, (context, at) in enumerate(zip(contexts, cancelled_s, strict=True))
    ]
    useless = replace(call("re", outcome="cancelled"), written=written)
    assert stop_times(requests, [useless, call("b", at=3.0)]) == pytest.approx([stopped_ms])


def test_every_request_counts_and_what_only_reads_in_advance_is_tokens():
    late = Request("a", 0.0, 0.04, cancelled_s=0.03, stale=True)
    session = TypingSession([late, answered("ab", "cd", sent=0.1)], wrong=3)
    reading = replace(call("ab", at=0.05, outcome=READING), read_tokens=500)
    made = replace(call("ab", "cd", at=0.11), read_tokens=10, written_tokens=4)
    figures = account([session], [reading, made])
    assert figures.all_ms == pytest.approx((60.0, math.inf))
    assert (figures.passes, figures.wasted, figures.calls) == (2, 0, 1)
    assert (figures.read, figures.written, figures.wrong) == (510, 4, 3)


def test_a_log_is_read(tmp_path):
    log = tmp_path / "log.jsonl"
    line = {
        "context": "c",
        "started": 1.0,
        "ended": 2.0,
        "outcome": "finished",
        "texts": ["t"],
        "written": "t",
        "passes": [1.5],
        "read": 7,
        "written_tokens": 2,
    }
    log.write_text(json.dumps({"loaded": 0.5}) + "\n" + json.dumps(line) + "\n")
    assert read_calls(log) == [Call("c", 1.0, 2.0, "finished", ("t",), "t", (1.5,), 7, 2)]
