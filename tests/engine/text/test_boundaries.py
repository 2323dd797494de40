"""Where the text before a cursor can be cut: boundaries that no typing can move."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.text.tokenizer import Tokenizer
from tests.engine.tokenizers_by_name import ALL, SPACED, changed, tokenizer_named
from tests.real import NAMES
from tests.strategies import code_text, random_vocabularies
from tests.toy import (
    byte_level_json,
    every_byte,
    plain,
    superword,
)


def assert_stable(tokenizer: Tokenizer, text: str, typed: str) -> None:
    """Ids before the boundary are the same before and after typing; ids after it are those of the bytes after it."""
    boundary = tokenizer.split_stable(text)
    assert 0 <= boundary <= len(text)
    context, tail = tokenizer.encode_split(text, boundary)
    whole = tokenizer.encode(text + typed)
    assert whole[: len(context)] == context
    assert tokenizer.decode_bytes(tail).endswith(text[boundary:].encode())
    if boundary:
        assert tokenizer.decode_bytes(tail) == text[boundary:].encode()
        assert whole[len(context) :] == tokenizer.encode_bytes((text[boundary:] + typed).encode())


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=150)
@given(text=code_text(), typed=code_text(4))
@example("don'", "t")
@example("x 'l", "l")
@example("中A", "b")
@example("a \n\n   ", "\n")
@example("a;\n", "/")
@example("a\n\n    ", "b")
@example("\n  ", " x")
@example("1234567", "8")
@example("e", "\u0301")
@example("👩\u200d", "💻")
@example("a\r", "\n")
@example("<|endo", "ftext|>")
@example("import num", "py as np")
def test_typing_never_moves_a_stable_boundary(name, text, typed):
    assert_stable(tokenizer_named(name), text, typed)


@given(text=random_vocabularies(), document=st.text("ab \né", max_size=12), typed=st.text("ab \né", max_size=4))
def test_random_vocabularies_have_stable_boundaries(text, document, typed):
    assert_stable(Tokenizer(text), document, typed)


CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
TO_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
SPLITS: dict[str, list[Any]] = {
    "gpt2": [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}],
    "starcoder": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
    "digit-runs": [{"type": "Digits", "individual_digits": False}, r"\s+|\S+"],
    "possessive": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
        r"|\s*[\r\n]|\s+(?!\S)|\s"
    ],
    "deepseek": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "digits-from-the-right": [r"(?=(\d{3})+(?!\d))", r"\n+[ \t]*|[^\n]+"],
    "lines-then-words": [r"\n+[ \t]*|[^\n]+", r"\p{L}+|\s| ?[^\s\p{L}]+"],
    "lines-then-pairs": [r"\n+[ \t]*|[^\n]+", r"\n|[^\n]+"],
    "may-match-nothing": [r"a*|[^a]+"],
    "digits-from-the-right-last": [r"\n+[ \t]*|[^\n]+", r"\d{1,3}(?=(?:\d{3})*(?!\d))"],
    "look-back": [r"(?<=[ \t])\S+|\s+"],
    "superword-digits": [r"\n+[ \t]*|[0-9]|[^\n0-9]+"],
    "cl100k-removed": [{"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Removed", "invert": True}],
    "merged": [{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": False}],
    "punctuation": [{"type": "Punctuation", "behavior": "Isolated"}],
    "space": [{"type": "Split", "pattern": {"String": " "}, "behavior": "Isolated", "invert": False}],
}


@cache
def tokenizer_splitting(name: str, ignore_merges: bool) -> Tokenizer:
    steps = [
        {"type": "Split", "pattern": {"Regex": step}, "behavior": "Isolated", "invert": False}
        if isinstance(step, str)
        else step
        for step in SPLITS[name]
    ]
    if not any(step["type"] == "ByteLevel" for step in steps):
        steps.append(TO_BYTES)
    raw = json.loads(changed(plain(), pre_tokenizer={"type": "Sequence", "pretokenizers": steps}))
    raw["model"]["ignore_merges"] = ignore_merges
    return Tokenizer(json.dumps(raw))


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("name", sorted(SPLITS))
@given(text=code_text(8), typed=code_text(3))
def test_boundaries_of_other_pre_tokenizers_are_stable(name, ignore_merges, text, typed):
    assert_stable(tokenizer_splitting(name, ignore_merges), text, typed)


@pytest.mark.parametrize("name", sorted(set(SPLITS) - {"look-back", "merged", "punctuation", "may-match-nothing"}))
def test_boundaries_are_near_the_cursor_where_the_expression_is_understood(name):
    text = "import os\n\n\ndef main(self):\n    return nam"
    assert tokenizer_splitting(name, False).split_stable(text) >= text.index("\n    return")


def test_boundaries_leave_added_tokens_whole():
    added = [{"content": "b\n<tab", "special": False}, {"content": " x", "special": False}]
    raw = json.loads(byte_level_json(every_byte(), [], added=added))
    raw["pre_tokenizer"] = json.loads(superword())["pre_tokenizer"]
    tokenizer = Tokenizer(json.dumps(raw))
    for text, typed in (("ab", "\n<tab"), ("ab\n", "<tab"), ("ab\n<", "tab x"), ("a ", "x"), ("b\n<tab x\n y", " x")):
        assert_stable(tokenizer, text, typed)


@pytest.mark.parametrize(
    ("name", "text", "tail"),
    [
        ("byte-level", "return self.nam", "nam"),
        ("byte-level", "import num", " num"),
        ("byte-level", "x = don'", "'"),
        ("byte-level", "a    ", "    "),
        ("superword", "import os\n    import num", "import num"),
        ("superword", "import os\n    ", "\n    "),
        ("superword", "import os\n", "\n"),
        ("superword", "x = foo(nu", "nu"),
        ("plain", "import os; import num", "import num"),
        ("sentencepiece", "import os; import num", "import num"),
        ("metaspace", "import os; import num", " num"),
    ],
)
def test_hand_checked_boundaries(name, text, tail):
    tokenizer = tokenizer_named(name)
    assert text[tokenizer.split_stable(text) :] == tail
    assert tokenizer.split_stable(text + "\n\nmore", len(text)) == len(text) - len(tail)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("text", "tails"),
    [
        ("    return self.nam", (".nam", "nam")),
        ("Hello, worl", (" worl",)),
        ("x = 12", (" 12", "12")),
        ('d[ "', (' "',)),
        ("foo()\r\n\t", ("()\r\n\t", "\r\n\t")),
        ("if x:\n        ", (":\n        ", "\n        ")),
    ],
)
def test_real_boundaries_are_near_the_cursor(name, text, tails):
    assert text[tokenizer_named(name).split_stable(text) :] in tails


@pytest.mark.parametrize("name", ALL)
def test_the_boundary_is_as_near_in_a_long_text(name):
    tokenizer = tokenizer_named(name)
    line = "        self.value = compute(first, second) + 1\n"
    short, long = line * 3 + "    retu", line * 20_000 + "    retu"
    assert len(long) - tokenizer.split_stable(long) == len(short) - tokenizer.split_stable(short)


@pytest.mark.parametrize("name", ALL)
def test_a_run_of_one_letter_is_never_cut_wrongly(name):
    for length in (1, 2, 64, 1 << 12):
        assert_stable(tokenizer_named(name), "a" * length, "aa")
        assert_stable(tokenizer_named(name), " " * length, " a")


# Splitting ids.


@pytest.mark.parametrize("name", ALL)
@given(text=code_text(6), cut=st.integers(0, 40))
def test_split_ids_are_one_encoding_and_end_at_or_before_the_cut(name, text, cut):
    tokenizer = tokenizer_named(name)
    boundary = min(cut, len(text))
    context, tail = tokenizer.encode_split(text, boundary)
    assert context + tail == tokenizer.encode(text)
    before = tokenizer.decode_bytes(context).removeprefix(b" " if name in SPACED else b"")
    assert text.encode().startswith(before) or name in SPACED
    assert len(tokenizer.decode_bytes(context).decode()) <= boundary + (name in SPACED)
    if boundary == 0:
        assert context == ()


def test_a_cut_inside_a_token_moves_back_to_its_beginning():
    tokenizer = tokenizer_named("byte-level")
    context, tail = tokenizer.encode_split("import numpy", 9)
    assert tokenizer.decode_bytes(context) == b"import"
    assert tokenizer.decode_bytes(tail) == b" numpy"
    # Tokens may split a character, a context must not.
    context, tail = tokenizer.encode_split("x中", 2)
    assert tokenizer.decode_bytes(context) == "x中".encode()
    context, tail = tokenizer.encode_split("x中中", 2)
    assert (tokenizer.decode_bytes(context), tokenizer.decode_bytes(tail)) == ("x中".encode(), "中".encode())


def test_the_leading_space_goes_with_the_first_token():
    tokenizer = tokenizer_named("sentencepiece")
    context, tail = tokenizer.encode_split("import", 0)
    assert (context, tokenizer.decode_bytes(tail)) == ((), b" import")
    context, tail = tokenizer.encode_split("self.name", 5)
    assert (tokenizer.decode_bytes(context), tokenizer.decode_bytes(tail)) == (b" self.", b"name")
