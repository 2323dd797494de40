"""What the analysis of split expressions claims, against what the tokenizers library does with them."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from engine.errors import ContractError
from engine.text.character_tests import category, ignore_case, inverted, one_of, shorthand
from engine.text.pattern_classes import UnknownSyntax
from engine.text.pretokenization import GPT2_PATTERN, OpaqueStep, parse_pretokenization
from engine.text.split_pattern import Pattern, parse_pattern
from tests.strategies import code_text

LINES = r"\n+[ \t]*|[^\n]+"
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UNDERSTOOD = (
    GPT2_PATTERN,
    CL100K,
    O200K,
    LINES,
    r"\n+[ \t]*|[0-9]|[^\n0-9]+",
    r"[\x00-\x1f]|\x{41}|A\u0042|[^a-c\-\]]",
    r"(?i)abc?|[x-z]{2,}|.",
    r"a*|b",
    r"ab{0}c|[[0-9]_]+",
    r"\w+(?=\s)|\W",
    r"\d{2,3}+|\D*?x|\P{Lu}$",
    r"\p{^L}|\p{Han}+|\p{Alphabetic}",
)


@cache
def compiled(expression: str) -> tuple[Pattern, pre_tokenizers.PreTokenizer]:
    return parse_pattern(expression), pre_tokenizers.Split(Regex(expression), behavior="isolated")


def boundaries(expression: str, text: str) -> set[int]:
    """Where the library cuts, as character positions."""
    _, splitter = compiled(expression)
    return {end for _, (_, end) in splitter.pre_tokenize_str(text)} if text else set()


@pytest.mark.parametrize("expression", UNDERSTOOD)
@given(text=code_text(8))
def test_what_separates_is_a_boundary_in_every_text(expression, text):
    pattern, _ = compiled(expression)
    found = boundaries(expression, text)
    for position in range(1, len(text)):
        if pattern.separates(text[position - 1], text[position]):
            assert position in found, (text[position - 1], text[position])


@pytest.mark.parametrize("expression", UNDERSTOOD)
@given(text=code_text(6), typed=code_text(3))
def test_boundaries_before_a_separating_pair_stay_and_matching_starts_afresh(expression, text, typed):
    pattern, _ = compiled(expression)
    before, after = boundaries(expression, text), boundaries(expression, text + typed)
    for position in range(1, len(text)):
        if pattern.separates(text[position - 1], text[position]):
            assert {at for at in before if at <= position} == {at for at in after if at <= position}
            assert {at - position for at in after if at > position} == boundaries(expression, (text + typed)[position:])


@pytest.mark.parametrize("expression", [e for e in UNDERSTOOD if parse_pattern(e).appends_only])
@given(text=code_text(6), typed=code_text(3))
def test_appending_moves_no_boundary_but_the_last(expression, text, typed):
    before, after = boundaries(expression, text), boundaries(expression, text + typed)
    assert before - {len(text)} == {at for at in after if at < len(text)}


def test_which_expressions_only_append():
    for appending in (LINES, r"\n+[ \t]*|[0-9]|[^\n0-9]+", r"[a-z]+[0-9]*|.|\n", r"[0-9]{1,3}|[^0-9]+"):
        assert parse_pattern(appending).appends_only, appending
    for moving in (
        GPT2_PATTERN,
        CL100K,
        O200K,
        r"[a-z]+[0-9]+|.",
        r"a?b|.",
        r"a{2}|.",
        r"a+(?!b)|.",
        r"a+?|.",
        r"(?:ab)+|.",
        r"a|",
    ):
        assert not parse_pattern(moving).appends_only, moving


@pytest.mark.parametrize(
    ("expression", "pair", "expected"),
    [
        (CL100K, "n.", True),
        (CL100K, ".n", False),
        (CL100K, "n'", True),
        (O200K, "n'", False),
        (O200K, "aB", True),
        (O200K, "Ba", False),
        (CL100K, "12", False),
        (CL100K, "a1", True),
        (CL100K, "\nx", True),
        (CL100K, "\n ", False),
        (CL100K, ";\n", False),
        (GPT2_PATTERN, ";\n", True),
        (GPT2_PATTERN, " n", False),
        (LINES, "a\n", True),
        (LINES, "\na", True),
        (LINES, " a", False),
        (CL100K, "a\u0378", False),  # U+0378 is not assigned: it may become a letter one day.
        (r"[a-z]+", "a.", True),
        (r"[a-z]+", "..", False),  # Unmatched text stays together.
        (r"a*|b", "bb", False),
    ],
)
def test_hand_checked_pairs(expression, pair, expected):
    assert parse_pattern(expression).separates(*pair) is expected


@pytest.mark.parametrize(
    "expression",
    [
        *(r"(?<=a)b", r"^a", r"\ba", r"\Aa", r"a\1", r"(?>a)", r"[[:alpha:]]", r"[a&&b]", r"(a", r"a)", r"[a", "*a"),
        *(r"\h", r"\R", r"(?x)a", "a\\", r"(?#c)a", "{2}", "(?<name>a)"),
    ],
)
def test_what_is_not_understood_says_so(expression):
    with pytest.raises(UnknownSyntax):
        parse_pattern(expression)
    step = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    assert parse_pretokenization(step).steps == (OpaqueStep(),)


@pytest.mark.parametrize("name", ["Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"])
def test_pre_tokenizers_that_drop_text_are_refused(name):
    with pytest.raises(ContractError, match=name):
        parse_pretokenization({"type": name})
    with pytest.raises(ContractError, match="removes"):
        parse_pretokenization({"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False})


def test_positions_come_from_the_last_to_the_first():
    words = parse_pretokenization({"type": "ByteLevel", "use_regex": True})
    assert list(words.separated("a b c")) == [3, 1]
    assert list(parse_pretokenization(None).separated("a b c")) == []
    assert list(parse_pretokenization({"type": "UnicodeScripts"}).separated("a b c")) == []


def test_a_pre_token_goes_on_the_same_within_its_first_class():
    pattern = parse_pattern(LINES)
    assert pattern.restarts("abc", 2)
    assert pattern.restarts("\n\n", 1)
    assert not pattern.restarts("\n ab", 1)
    assert not parse_pattern(r"[0-9]{1,3}|[^0-9]+").restarts("123", 1)
    assert not parse_pattern(GPT2_PATTERN).restarts("abc", 1)


def test_classes_answer_unknown_where_versions_of_unicode_may_differ():
    letters, spaces = category("L"), shorthand("s")
    assert (letters("é"), letters("1"), letters("\u0378")) == (True, False, None)
    assert category("Han")("中") is None
    assert (spaces("\x85"), spaces("\x1c"), spaces("\u2003")) == (True, False, True)
    assert (shorthand("d")("٣"), shorthand("w")("_"), shorthand("w")("\u0301")) == (True, True, None)
    assert inverted(letters)("\u0378") is None
    assert ignore_case(one_of("s"))("ſ") is None
    assert ignore_case(one_of("s"))("t") is False


@given(st.characters(exclude_categories=["Cs", "Cn"]))
def test_classes_agree_with_the_library(character):
    # New versions of Unicode change few characters; the classes that matter are checked for all assigned ones.
    for expression, test in ((r"\s", shorthand("s")), (r"\p{L}", category("L")), (r"\p{N}", category("N"))):
        matched = len(pre_tokenizers.Split(Regex(expression), behavior="isolated").pre_tokenize_str(f"%{character}%"))
        assert test(character) is (matched == 3)
