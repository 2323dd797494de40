"""Expressions that take too long are refused when a model is loaded. The remaining ones fail with an ordinary error."""

import json
import time

import pytest

from engine.errors import ContractError
from engine.text import tokenizer as tokenizer_module
from engine.text.blow_up import MOST_SECONDS, check_expressions, expressions
from engine.text.tokenizer import Tokenizer
from tests.toy import TOYS, byte_level

UNTRIED = r"(?:qwxz|qwxz)+!"
"""Never ends, but only on a word of four letters."""
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def splitting(*patterns: str) -> str:
    raw = json.loads(byte_level())
    splits = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*splits, last]}
    return json.dumps(raw)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+[bc]",
        r"(a+)+$",
        r"(?:\w+\s?)*[;]",
        r"(\p{L}|\p{Lu})+[0-9]|\s+",
        r"(?:zq|zq)+!",
        r"(\s|\n)*x",
        r"(.*)*[bc]d",
        r"\p{L}*\p{L}*\p{L}*\p{L}*\p{L}*[0-9]",
        r"(?:[a-z]?[a-z]?)+[!-/]",
        r"(?=(\S+)+;)x",
    ],
)
def test_an_expression_that_takes_too_long_is_refused(pattern):
    started = time.thread_time()
    with pytest.raises(ContractError, match=r"takes too long|gives up on a text") as caught:
        Tokenizer(splitting(pattern))
    assert "\n" not in str(caught.value)
    assert time.thread_time() - started < 30


def test_a_run_that_took_long_once_is_tried_again(monkeypatch):
    times = iter([0.0, 0.4, *(0.0,) * 10_000])
    monkeypatch.setattr("engine.text.blow_up.time.thread_time", lambda: next(times))
    check_expressions(["a"], lambda text: None)


@pytest.mark.parametrize("pattern", [CL100K, O200K, r"\d", r"[\r\n]", r"\s?\p{L}+", r" ?[^(\s|[.,!?…。，、।۔،])]+"])
def test_usual_expressions_pass(pattern):
    Tokenizer(splitting(pattern))


def test_expressions_are_found_wherever_they_stand():
    config = json.loads(splitting(r"\d", r"\s"))["pre_tokenizer"]
    assert list(expressions({"type": "Sequence", "pretokenizers": [config, {"type": "Digits"}]})) == [r"\d", r"\s"]
    assert list(expressions(None)) == list(expressions({"pattern": {"String": "a"}})) == []


def test_time_is_what_counts():
    def slow(text: str) -> None:
        ended = time.thread_time() + 2 * MOST_SECONDS * (len(text) > 500)
        while time.thread_time() < ended:
            pass

    with pytest.raises(ContractError, match="takes too long"):
        check_expressions([r"\s"], slow)
    check_expressions([], slow)


def test_a_panic_of_the_library_is_an_error_that_names_the_model():
    tokenizer = Tokenizer(splitting(UNTRIED), name="odd")
    text = "qwxz" * 64 + "?!"
    for call in (
        tokenizer.encode,
        tokenizer.encode_inside,
        lambda t: tokenizer.encode_split(t, 9),
    ):
        with pytest.raises(ContractError, match=r"^the tokenizer of odd gives up on a text .*; use another model$"):
            call(text)
    with pytest.raises(ContractError, match="odd gives up"):
        tokenizer.encode_bytes(text.encode() + b"\xff")
    assert tokenizer.encode("return") == tokenizer.encode("return")  # and continues


@pytest.mark.parametrize("name", TOYS)
def test_blocks_change_nothing(name, monkeypatch):
    tokenizer = Tokenizer(TOYS[name]())
    text = "\n".join(f"def f{n}(self):\n    return 'a\u0301 中 ▁ {n}'  # import numpy as np" for n in range(100))
    whole = tokenizer.encode(text)
    monkeypatch.setattr(tokenizer_module, "BLOCK_CHARACTERS", 7)
    assert tokenizer.encode(text) == whole
    blocks = list(tokenizer._blocks(text))
    assert "".join(blocks) == text
    assert len(blocks) > 100 or name in ("plain", "sentencepiece")  # which have no boundaries


def test_an_encoding_that_takes_too_long_ends(monkeypatch):
    tokenizer = Tokenizer(byte_level(), name="slow")
    monkeypatch.setattr(tokenizer_module, "MOST_SECONDS", -1.0)
    assert tokenizer.encode("short")
    with pytest.raises(ContractError, match=r"^the tokenizer of slow takes too long for a text; use another model$"):
        tokenizer.encode("long " * 10_000)
