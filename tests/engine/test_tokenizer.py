"""Byte-exact encoding of text and bytes, control tokens as text, and boundaries that no typing can move."""

import json
from functools import cache
from typing import Any

import pytest
import tokenizers
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.errors import ContractError, ModelFolderError, RequestError
from engine.tokenizer import Tokenizer
from tests.real import NAMES, real_json, real_tokenizer
from tests.reference import bpe
from tests.strategies import byte_strings, code_text, merge_lists, random_vocabularies
from tests.toy import (
    CONTROL_TOKENS,
    TOYS,
    byte_level,
    byte_level_json,
    every_byte,
    plain,
    sentencepiece,
    superword,
    trained_toy,
)

SPACED = ("metaspace", "sentencepiece")
ALL = (*sorted(TOYS), "trained", "trained-superwords", *NAMES)
CORPUS = ("import numpy as np\n\n\ndef f(self):\n    return self.name\n", "for i in range(10):\n    print(i)\n") * 8


@cache
def tokenizer_named(name: str) -> Tokenizer:
    if name in TOYS:
        return Tokenizer(TOYS[name]())
    if name.startswith("trained"):
        return Tokenizer(trained_toy(CORPUS, 330, superwords=name.endswith("superwords")))
    return real_tokenizer(name)


def pieces(tokenizer: Tokenizer, text: str) -> list[bytes]:
    return [tokenizer.decode_bytes([token]) for token in tokenizer.encode(text)]


def changed(text: str, **parts) -> str:
    return json.dumps(json.loads(text) | parts)


# Encoding.


@pytest.mark.parametrize("name", ALL)
@given(text=code_text())
def test_the_bytes_come_back(name, text):
    tokenizer = tokenizer_named(name)
    lead = b" " if text and (name == "sentencepiece" or (name == "metaspace" and text[0] not in " ▁")) else b""
    ids = tokenizer.encode(text)
    assert tokenizer.decode_bytes(ids) == lead + text.encode()
    assert not tokenizer.vocabulary.control_ids & set(ids)
    assert set(ids) <= set(_candidates(name))


@cache
def _candidates(name: str) -> frozenset[int]:
    return frozenset(tokenizer_named(name).vocabulary.candidate_ids.tolist())


@pytest.mark.parametrize("name", [*sorted(TOYS), *NAMES])
@given(text=code_text())
def test_ordinary_text_is_encoded_as_the_library_does(name, text):
    assume("▁" not in text or name not in SPACED)
    library = _library(name)
    # A control token's spelling is text for us; so it is for the library with this switch. One real file gives the id
    # of a run of 25 spaces to a control token.
    assume(not (name == "p50k_base" and " " * 25 in text))
    assert tokenizer_named(name).encode(text) == tuple(library.encode(text, add_special_tokens=False).ids)


@cache
def _library(name: str) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer.from_str(TOYS[name]() if name in TOYS else real_json(name))
    library.encode_special_tokens = True
    return library


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_a_control_token_in_a_document_is_text(name, token):
    tokenizer = tokenizer_named(name)
    for text in (token, token[:6], f"a{token}b", token + token, f"\n{token}\n", token[3:]):
        ids = tokenizer.encode(text)
        assert not tokenizer.vocabulary.control_ids & set(ids)
        assert tokenizer.decode_bytes(ids).endswith(text.encode())


@pytest.mark.parametrize("ignore_merges", [False, True])
def test_a_control_token_that_is_an_entry_of_the_model_is_text_too(ignore_merges):
    raw = json.loads(trained_toy(CORPUS, 300, superwords=True))
    raw["model"]["ignore_merges"] = ignore_merges
    tokenizer = Tokenizer(json.dumps(raw))
    assert tokenizer.decode_bytes(tokenizer.encode("<|endoftext|>")) == b"<|endoftext|>"


def test_an_entry_that_shares_its_id_with_a_control_token_is_never_written():
    raw = json.loads(byte_level())
    raw["added_tokens"][0]["id"] = raw["model"]["vocab"]["return"]
    tokenizer = Tokenizer(json.dumps(raw))
    assert pieces(tokenizer, "return") == [b"ret", b"urn"]
    real = real_tokenizer("p50k_base")
    assert not real.vocabulary.control_ids & set(real.encode(" " * 25))


def test_hand_checked_encodings():
    assert pieces(tokenizer_named("byte-level"), "import numpy") == [b"import", b" numpy"]
    assert pieces(tokenizer_named("byte-level"), "http://x") == [b"http", b"://", b"x"]
    assert pieces(tokenizer_named("superword"), "import numpy as np\n    return self.name") == [
        *(b"import numpy as np", b"\n    ", b"return self.", b"name")
    ]
    assert pieces(tokenizer_named("sentencepiece"), "import") == [b" ", b"import"]
    assert pieces(tokenizer_named("sentencepiece"), "A▁b") == [b" ", b"A", b"\xe2", b"\x96", b"\x81", b"b"]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_text_has_no_tokens(name):
    tokenizer = tokenizer_named(name)
    assert tokenizer.encode("") == tokenizer.encode_bytes(b"") == ()
    assert tokenizer.encode_split("", 0) == ((), ())
    assert tokenizer.split_stable("") == 0


def test_half_a_surrogate_pair_is_a_request_error():
    for tokenizer in (tokenizer_named("byte-level"), tokenizer_named("sentencepiece")):
        with pytest.raises(RequestError, match="surrogate"):
            tokenizer.encode("a\ud83d")
        assert tokenizer.split_stable("a\ud83d ") >= 0


def test_truncation_padding_dropout_and_templates_do_not_touch_text():
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 99}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    template = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    raw = json.loads(byte_level())
    raw["model"]["dropout"] = 0.9
    text = json.dumps(raw | {"truncation": truncation, "padding": padding, "post_processor": template})
    assert Tokenizer(text).encode("return self.name") == tokenizer_named("byte-level").encode("return self.name")


def test_unicode_is_not_normalised_and_no_space_is_put_first():
    raw = json.loads(changed(byte_level(), normalizer={"type": "NFC"}))
    raw["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True
    tokenizer = Tokenizer(json.dumps(raw))
    for text in ("e\u0301", "é", "ﬁ", "x"):
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


def test_added_tokens_that_are_text_are_found_in_text():
    added = [{"content": "<tab>", "special": False, "lstrip": True, "single_word": True, "rstrip": True}]
    tokenizer = Tokenizer(byte_level_json(every_byte(), [], added=added))
    assert pieces(tokenizer, "a <tab> b<tab>c<ta") == [
        *(b"a", b" ", b"<tab>", b" ", b"b", b"<tab>", b"c", b"<", b"t", b"a")
    ]
    assert tokenizer.encode("<tab>") == (tokenizer.vocabulary.size - 1,)


def test_an_added_token_takes_the_place_of_the_entry_with_its_spelling():
    raw = json.loads(sentencepiece())
    raw["added_tokens"].append({"id": 400, "content": "  ", "special": False, "normalized": True})
    tokenizer = Tokenizer(json.dumps(raw))
    assert 400 in tokenizer.encode("a  b")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "StripAccents"}]}}, "Accents"),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}}, "Replace"),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "ByteLevel"}]}},
            "s",
        ),
    ],
)
def test_what_would_lose_text_is_refused(parts, says):
    with pytest.raises(ContractError, match=says):
        Tokenizer(changed(byte_level(), **parts))


def test_what_the_library_refuses_is_a_contract_error():
    with pytest.raises(ContractError, match="library"):
        Tokenizer(byte_level_json(every_byte(), [(b"a", b"b")]))
    with pytest.raises(ModelFolderError):
        Tokenizer(
            changed(byte_level(), pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {}]})
        )


# Bytes.


@pytest.mark.parametrize("name", ALL)
@given(data=byte_strings())
def test_any_bytes_come_back(name, data):
    tokenizer = tokenizer_named(name)
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


@given(merge_lists(), st.lists(st.sampled_from([b"a", b"b", b" ", b"\n", b"\xc3", b"\xa9", b"\xff"])).map(b"".join))
def test_one_pre_token_is_encoded_like_the_reference(merges, data):
    tokenizer = Tokenizer(byte_level_json([*every_byte(), *dict.fromkeys(a + b for a, b in merges)], merges))
    assert [tokenizer.decode_bytes([token]) for token in tokenizer.encode_bytes(data)] == bpe.encode(data, merges)


@pytest.mark.parametrize("name", ["byte-level", "superword", "plain"])
@pytest.mark.parametrize("text", ["é", " é", "中", "x中", "😀", " 😀", "return 中文"])
def test_a_character_cut_short_is_encoded_as_far_as_it_goes(name, text):
    tokenizer = tokenizer_named(name)
    ids = tokenizer.encode(text)
    for count in range(len(ids)):
        assert tokenizer.encode_bytes(tokenizer.decode_bytes(ids[:count])) == ids[:count]


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(st.sampled_from("广州的白云机场한국어é👩🏽💻ğ "), max_size=4))
def test_real_tokens_that_end_inside_a_character(name, text):
    tokenizer = tokenizer_named(name)
    ids = tokenizer.encode("x" + text)
    for count in range(1, len(ids)):
        beginning = tokenizer.decode_bytes(ids[:count])
        encoded = tokenizer.encode_bytes(beginning)
        # Whole entries are looked up, so a beginning may be one; else it is the same tokens.
        assert encoded == ids[:count] or len(encoded) < count


def test_sentencepiece_bytes_have_no_leading_space():
    tokenizer = tokenizer_named("sentencepiece")
    assert tokenizer.encode_bytes(b"import") == tokenizer.encode("import")[1:]
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(b"\xe4\xb8 a\xff")) == b"\xe4\xb8 a\xff"


def test_a_byte_without_an_entry_is_a_request_error():
    raw = json.loads(byte_level_json(every_byte()[:-1], []))
    tokenizer = Tokenizer(json.dumps(raw))
    with pytest.raises(RequestError, match="ff"):
        tokenizer.encode_bytes(b"a\xff")
    raw = json.loads(sentencepiece())
    del raw["model"]["vocab"]["<0xFF>"]
    with pytest.raises(RequestError, match="0xFF"):
        Tokenizer(json.dumps(raw)).encode_bytes(b"a\xff")


# Boundaries.


def assert_stable(tokenizer: Tokenizer, text: str, typed: str) -> None:
    """Ids before the boundary are the same before and after typing, ids behind it are those of the bytes behind it."""
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
    # Tokens may cut a character, a context must not.
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
