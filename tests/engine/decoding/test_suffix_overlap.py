"""The end of a completion: text that follows the cursor in the document is not written twice."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.decoding.suffix_overlap import common_end, trim_suffix_overlap

code = st.text(alphabet="ab()[]{}\"'\\ \n,", max_size=14)


@pytest.mark.parametrize(
    ("text", "suffix", "kept"),
    [
        pytest.param("len(x)", ")", "len(x)", id="print(|) keeps len(x)"),
        pytest.param("len(x))", ")", "len(x)", id="print(|) loses the second closer"),
        pytest.param("x)", ")", "x", id="print(|) loses its own closer"),
        pytest.param("rt os", "rt os\n", "", id="impo|rt os"),
        pytest.param("rt numpy", "rt os\n", "rt numpy", id="impo|rt os goes elsewhere"),
        pytest.param("rt", "rt os\n", "", id="impo|rt os in part"),
        pytest.param('alice"', '"', "alice", id="inside quotes"),
        pytest.param('"alice"', '"', '"alice"', id="its own quotes stay"),
        pytest.param("f(g(x))", "))", "f(g(x))", id="both closers are its own"),
        pytest.param("g(x))", "))", "g(x)", id="one closer of two is its own"),
        pytest.param("g(x)))", "))", "g(x)", id="two closers too many"),
        pytest.param("x]", ")", "x]", id="another bracket"),
        pytest.param("'(')", ")", "'('", id="a bracket in a string is no opener"),
        pytest.param(r"'\'')", ")", r"'\''", id="an escaped quote"),
        pytest.param(r"f('\'')", ")", r"f('\'')", id="an escaped quote does not end its string"),
        pytest.param("[1, 2]\n", "\n", "[1, 2]", id="a line break"),
        pytest.param("{\n}\n", "\n}\n", "{\n}", id="a block that closes itself"),
        pytest.param("x = 1\n}\n", "\n}\n", "x = 1", id="a block that the document closes"),
        pytest.param("return x;", ";\n}", "return x", id="punctuation"),
        pytest.param("aaa", "aab", "a", id="the longest overlap"),
        pytest.param("abc", "xabc", "abc", id="the suffix must start with it"),
        pytest.param("😀)", "😀)", "", id="beyond one unit"),
        pytest.param("", "x", "", id="nothing written"),
        pytest.param("x", "", "x", id="nothing after the cursor"),
    ],
)
def test_overlaps_worked_by_hand(text, suffix, kept):
    assert trim_suffix_overlap(text, suffix) == kept


def slow_common_end(text: str, suffix: str) -> int:
    return max(n for n in range(min(len(text), len(suffix)) + 1) if text[len(text) - n :] == suffix[:n])


@given(code, code)
@example("aab", "abaab")
def test_common_end_is_the_longest_overlap(text, suffix):
    assert common_end(text, suffix) == slow_common_end(text, suffix)


@given(code, code)
def test_only_an_overlap_is_ever_cut(text, suffix):
    kept = trim_suffix_overlap(text, suffix)
    assert text.startswith(kept)
    assert suffix.startswith(text[len(kept) :])


@given(code, code)
def test_no_more_than_the_longest_overlap_is_cut(text, suffix):
    # Streaming relies on this: text before the longest overlap is sent at once and can never be taken back.
    assert len(trim_suffix_overlap(text, suffix)) >= len(text) - common_end(text, suffix)


@given(code, st.sampled_from("abcde"))
def test_letters_that_the_document_repeats_always_go(text, letter):
    assert trim_suffix_overlap(text + letter, letter) == text
