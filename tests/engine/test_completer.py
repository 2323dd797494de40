"""Whole requests: the inserted text agrees with the typed text, the typed text stays, and how a completion ends."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from engine.config import HEALING_MODES, HealingMode, HealingParams, LineMode, SamplingParams, StopParams
from engine.errors import RequestError
from engine.model_folder.manifest import FimOrder
from engine.text.tokenizer import Tokenizer
from engine.types import Completion, CompletionRequest, Snippet, StopReason
from tests.fakes import (
    control_ids,
    fake_completer,
    hash_model,
    readable_model,
    scripted_model,
    table_model,
    toy_fim,
    toy_tokenizer,
)
from tests.toy import CONTROL_TOKENS

BYTE_LEVEL = ("byte-level", "superword", "plain")
TYPED = (
    "url = 'http:",
    "import nump",
    "def f(self):\n        ret",
    "if x:\n       ",
    "x = 1\r\n",
    "s = 'é中😀",
    "e\u0301",
    "1234567",
    "<|fim_pre",
    CONTROL_TOKENS[1],
    "",
    "x",
)


def request(
    prefix: str, suffix: str = "", *, mode: HealingMode = "k-step", lines: LineMode = "multi", **fields: Any
) -> CompletionRequest:
    stop = fields.pop("stop", None) or StopParams(max_new_tokens=12, lines=lines)
    return CompletionRequest(prefix, suffix, healing=HealingParams(mode), stop=stop, **fields)


def sampled(seed: int) -> SamplingParams:
    return SamplingParams("sample", temperature=1.5, seed=seed)


def written_text(tokenizer: Tokenizer, written: Sequence[int], order: str) -> bytes:
    """The document's bytes before the cursor and in the middle, from the tokens that the model read."""
    _, _, suffix, middle = control_ids(tokenizer)
    ids = list(written)
    if order == "plain":
        return tokenizer.decode_bytes(ids)
    before = ids[: ids.index(suffix)] if order == "psm" else []
    return tokenizer.decode_bytes(before) + tokenizer.decode_bytes(ids[ids.index(middle) :])


@pytest.mark.parametrize("typed", TYPED, ids=repr)
@pytest.mark.parametrize("order", ["plain", "psm", "spm"])
@pytest.mark.parametrize("mode", HEALING_MODES)
@pytest.mark.parametrize("toy", BYTE_LEVEL)
def test_what_is_inserted_goes_on_exactly_where_the_typed_text_ends(toy, mode, order, typed):
    tokenizer = toy_tokenizer(toy)
    fim = None if order == "plain" else toy_fim(tokenizer, order)
    suffix = "" if order == "plain" else "@@ end"
    for seed in range(3):
        completer, session = fake_completer(tokenizer, readable_model(tokenizer, seed), fim=fim)
        # Without speculation: otherwise the session would also have read drafts that turned out wrong.
        asked = request(typed, suffix, mode=mode, sampling=sampled(seed), speculation="off")
        result = completer.complete(asked)
        # The model ran on tokens that spell the document; the completion is the rest of them. (The last token written
        # is not among those run, and the completion may be cut at the end of a block: the shorter one decides.)
        spelled = written_text(tokenizer, session.written, order)
        whole = (typed + (result.completions[0].text if result.completions else "")).encode()
        length = min(len(spelled), len(whole))
        assert spelled[:length] == whole[:length]
        assert length >= len(typed.encode()) or not result.completions
        controls = [token for token in session.written if token in tokenizer.vocabulary.control_ids]
        template = () if fim is None else tuple(part for part in fim.templates[order] if isinstance(part, int))
        assert tuple(controls) == (template or tuple(controls[:1]))


@pytest.mark.parametrize("mode", HEALING_MODES)
@pytest.mark.parametrize("toy", ["sentencepiece", "metaspace"])
@pytest.mark.parametrize("typed", ["import nump", " self", "a", "http:", "a▁b", "é中"], ids=repr)
def test_the_leading_space_of_sentencepiece_is_never_shown(toy, mode, typed):
    tokenizer = toy_tokenizer(toy)
    completer, session = fake_completer(tokenizer, readable_model(tokenizer))
    text = completer.complete(request(typed, mode=mode)).completions[0].text
    added = len(tokenizer.decode_bytes(tokenizer.encode(typed))) - len(typed.encode())
    assert added in (0, 1)
    spelled, whole = tokenizer.decode_bytes(session.written)[added:], (typed + text).encode()
    length = min(len(whole), len(spelled))
    assert length >= len(typed.encode())
    assert spelled[:length] == whole[:length]


@pytest.mark.parametrize(
    ("toy", "document"),
    [
        pytest.param("byte-level", "url = 'http:|//numpy", id="http: goes on with //"),
        pytest.param("byte-level", "http|s://", id="http becomes https"),
        pytest.param("byte-level", "http| = 1", id="http stays http"),
        pytest.param("byte-level", "re|turn self", id="re becomes return"),
        pytest.param("byte-level", "x.se|lf.name", id="se becomes self"),
        pytest.param("byte-level", "num|py", id="num becomes numpy"),
        pytest.param("byte-level", "12|3", id="digits"),
        pytest.param("byte-level", "x = |    1", id="trailing space"),
        pytest.param("superword", "import numpy| as np", id="a superword"),
        pytest.param("superword", "return |self.name", id="a superword after a space"),
        pytest.param("sentencepiece", "http:|//numpy", id="sentencepiece"),
    ],
)
def test_a_model_that_knows_the_text_writes_the_rest_of_it(toy, document):
    tokenizer = toy_tokenizer(toy)
    typed, rest = document.split("|")
    model = scripted_model(tokenizer, typed + rest, end=control_ids(tokenizer)[0])
    completer, _ = fake_completer(tokenizer, model)
    (completion,) = completer.complete(request(typed)).completions
    assert (completion.text, completion.stop) == (rest, "end")


def test_without_healing_the_same_model_is_lost():
    tokenizer = toy_tokenizer("byte-level")
    model = scripted_model(tokenizer, "http://numpy", end=control_ids(tokenizer)[0])
    completer, _ = fake_completer(tokenizer, model)
    healed = completer.complete(request("http:", mode="k-step")).completions
    assert [c.text for c in healed] == ["//numpy"]
    assert [c.text for c in completer.complete(request("http:", mode="off")).completions] != ["//numpy"]


@pytest.mark.parametrize("begin", [None, 300])
@pytest.mark.parametrize("mode", HEALING_MODES)
def test_an_empty_document(begin, mode):
    tokenizer = toy_tokenizer("byte-level")
    end = control_ids(tokenizer)[0]
    completer, session = fake_completer(tokenizer, readable_model(tokenizer, lines=False), begin=begin and end)
    result = completer.complete(request("", mode=mode))
    assert session.written[0] == end
    assert result.prompt_tokens == 1
    assert result.completions[0].text
    assert result.completions[0].healing.tokens_back == 0


def test_the_begin_id_stands_before_the_document():
    tokenizer = toy_tokenizer("byte-level")
    _, begin, *_ = control_ids(tokenizer)
    completer, session = fake_completer(tokenizer, readable_model(tokenizer), begin=begin)
    completer.complete(request("self"))
    assert session.written[:2] == [begin, *tokenizer.encode("self")]


def test_the_text_of_a_control_token_in_a_document_is_ordinary_text():
    tokenizer = toy_tokenizer("byte-level")
    fim = toy_fim(tokenizer)
    completer, session = fake_completer(tokenizer, readable_model(tokenizer), fim=fim)
    completer.complete(request(f"a {CONTROL_TOKENS[3]} b", f"{CONTROL_TOKENS[0]} {CONTROL_TOKENS[1]}"))
    assert [t for t in session.written if t in fim.control_ids | {control_ids(tokenizer)[0]}] == [
        part for part in fim.templates["psm"] if isinstance(part, int)
    ]


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_only_a_prefix_begins_with_the_space_that_the_tokenizer_adds(order: FimOrder):
    tokenizer = toy_tokenizer("sentencepiece")
    _, prefix, suffix, middle = control_ids(tokenizer)
    completer, session = fake_completer(tokenizer, readable_model(tokenizer), fim=toy_fim(tokenizer, order))
    completer.complete(request("self", "return x", mode="off", stop=StopParams(max_new_tokens=1)))
    spelled = {ids: tokenizer.encode_inside(ids) for ids in ("self", "return x")}
    assert tokenizer.encode("self") != spelled["self"]
    assert (
        session.written
        == {
            "psm": [prefix, suffix, *spelled["return x"], middle, *spelled["self"]],
            "spm": [prefix, suffix, *spelled["return x"], middle, *tokenizer.encode("self")],
        }[order]
    )


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_a_document_goes_into_the_template(order: FimOrder):
    tokenizer = toy_tokenizer("byte-level")
    _, prefix, suffix, middle = control_ids(tokenizer)
    completer, session = fake_completer(tokenizer, readable_model(tokenizer), fim=toy_fim(tokenizer, order))
    completer.complete(request("x = 1\nre", "\nself", mode="off", stop=StopParams(max_new_tokens=1)))
    typed, after = tokenizer.encode("x = 1\nre"), tokenizer.encode("\nself")
    # The tokenizer decides where the tail begins.
    context = typed[: session.written.index(suffix) - 1] if order == "psm" else typed
    tail = typed[len(context) :]
    expected = {
        "psm": [prefix, *context, suffix, *after, middle, *tail],
        "spm": [prefix, suffix, *after, middle, *context],
    }
    assert session.written == expected[order]
    assert order == "spm" or tail


def test_extra_context_stands_before_the_document():
    tokenizer = toy_tokenizer("byte-level")
    completer, session = fake_completer(tokenizer, readable_model(tokenizer))
    completer.complete(request("self", extra_context=(Snippet("# other\n"),), mode="off"))
    assert tokenizer.decode_bytes(session.written).startswith(b"# other\nself")


# --- how a completion ends -------------------------------------------------------------------------------------------


def written_by(text: str, typed: str, stop: StopParams, *, end: bool = True) -> Completion:
    """The completion by a model that would write ``text`` after ``typed``."""
    tokenizer = toy_tokenizer("byte-level")
    ending = control_ids(tokenizer)[0] if end else tokenizer.encode("!")[0]
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, typed + text, end=ending))
    (completion,) = completer.complete(request(typed, stop=stop)).completions
    return completion


@pytest.mark.parametrize(
    ("reason", "text", "stop", "expected"),
    [
        ("end", "abc", StopParams(), "abc"),
        ("stop-string", "a = b # c", StopParams(stop_strings=(" #",)), "a = b"),
        ("line", "abc\ndef", StopParams(lines="single"), "abc"),
        ("block", "abc\nd", StopParams(lines="multi"), "abc"),
        ("length", "abcdef", StopParams(max_new_tokens=3), "abc"),
    ],
)
def test_stop_reason(reason: StopReason, text, stop, expected):
    completion = written_by(text, "x(", stop)
    assert (completion.text, completion.stop) == (expected, reason)


def test_any_control_token_ends_a_completion_and_is_not_shown():
    tokenizer = toy_tokenizer("byte-level")
    for control in control_ids(tokenizer):
        completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "x(abc", end=control))
        (completion,) = completer.complete(request("x(")).completions
        assert (completion.text, completion.stop) == ("abc", "end")


def test_a_model_with_nothing_to_add_completes_nothing():
    tokenizer = toy_tokenizer("byte-level")
    end = control_ids(tokenizer)[0]
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "x()", end=end))
    assert completer.complete(request("x()")).completions == ()
    assert list(completer.stream(request("x()"))) == []


def test_the_completion_counts_its_tokens_and_their_log_probability():
    tokenizer = toy_tokenizer("byte-level")
    size, end = tokenizer.vocabulary.size, control_ids(tokenizer)[0]
    a, b = tokenizer.encode("a")[0], tokenizer.encode("b")[0]
    half = {a: math.log(0.5), b: math.log(0.5)}
    table = {(): half, (a,): {b: math.log(0.25), end: math.log(0.75)}}
    completer, _ = fake_completer(tokenizer, table_model(size, table, floor=-math.inf))
    (completion,) = completer.complete(request("", mode="off", stop=StopParams(max_new_tokens=4))).completions
    assert (completion.text, completion.tokens, completion.stop) == ("a", 1, "end")
    assert completion.logprob == pytest.approx(math.log(0.5), abs=1e-5)


def test_the_suffix_is_not_written_twice():
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "print(x)", end=control_ids(tokenizer)[0]))
    assert completer.complete(request("print(", ")")).completions[0].text == "x"


# --- what is reported ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", HEALING_MODES)
def test_the_report_says_what_was_healed(mode):
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "http://x", end=control_ids(tokenizer)[0]))
    report = completer.complete(request("http:", mode=mode)).completions[0].healing
    assert report.mode == mode
    if mode == "off":
        assert (report.tail, report.tokens_back, report.covers, report.surprise_bits) == ("", 0, 0, 0.0)
    else:
        assert (report.tail, report.tokens_back) == (":", 1)
        assert report.covers >= 2
        assert 0 <= report.surprise_bits < 1


@pytest.mark.parametrize("mode", ["k-step", "exact"])
def test_text_that_surprises_the_model_too_much_is_not_completed(mode):
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size))
    bits = completer.trace(request("http:", mode=mode)).surprise_bits
    assert 0 < bits < math.inf
    for limit, count in ((bits + 0.01, 1), (bits - 0.01, 0)):
        healing = HealingParams(mode, max_surprise_bits=limit)
        asked = CompletionRequest("http:", healing=healing, stop=StopParams(lines="multi"))
        assert len(completer.complete(asked).completions) == count


def test_a_lone_surrogate_is_refused_in_one_line():
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, fim=toy_fim(tokenizer))
    for asked in (request("a\ud800"), request("\ud800"), request("x = (", "\udc00", lines="single")):
        with pytest.raises(RequestError) as caught:
            completer.complete(asked)
        assert "\n" not in str(caught.value)
