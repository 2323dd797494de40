"""Known words become more probable in the word at the cursor."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import StopParams
from engine.healing.k_step import CoverGroup, FirstStep
from engine.healing.known_words import IMPOSSIBLE, UNKNOWN, KnownWords
from engine.healing.prefix_index import load_or_build_index
from engine.text.vocabulary import Vocabulary
from engine.types import CompletionRequest, TokenIds
from tests.fakes import control_ids, fake_completer, table_model, toy_tokenizer

ENTRIES = (b"_en", b"_entire", b"_ent", b"ries", b"_entries.", b"_entriesx", b"x", b"")
VOCABULARY = Vocabulary(ENTRIES, frozenset({7}), np.arange(7, dtype=np.int32), 10, "byte-level")
INDEX = load_or_build_index(VOCABULARY, None, "")


@pytest.mark.parametrize(
    ("added", "agrees"),
    [
        ("", True),
        ("tr", True),
        ("tries", True),
        ("tries.x", True),
        ("tire", False),
        ("triesx", False),
        (".", False),
        ("trié", False),
    ],
)
def test_what_agrees_with_a_known_word(added: str, agrees: bool):
    words = KnownWords.of("self._en", {"_entries", "other"}, only=False)
    assert words is not None
    assert words.words == ("_entries",)
    assert words.agree_with(added.encode()) == agrees


def test_no_word_goes_on_with_what_is_typed():
    assert KnownWords.of("self._en", {"other"}, only=True) is None


def first_of(*probabilities: float) -> FirstStep:
    logprobs = np.log(np.array(probabilities, np.float32))
    return FirstStep((CoverGroup(1, (), 3, np.arange(len(probabilities), dtype=np.int32), logprobs),), 2.0)


@pytest.mark.parametrize("only", [False, True])
def test_other_words_are_less_probable_and_all_together_are_one(only: bool):
    words = KnownWords(("_entries",), "_en", only)
    first = words.first_step(first_of(0.1, 0.6, 0.1, 1e-9, 0.2, 1e-9), VOCABULARY)
    others = IMPOSSIBLE if only else UNKNOWN
    expected = np.array([0.1, 0.6 * others, 0.1, 0.0, 0.2, 0.0])
    assert np.exp(first.logprobs) == pytest.approx(expected / expected.sum(), abs=1e-4)
    assert first.surprise_bits == 2.0


def test_where_nothing_leads_to_a_known_word_all_is_as_it_was():
    words = KnownWords(("_entries",), "_en", True)
    first = words.first_step(first_of(1e-9, 0.6, 1e-9, 0.2), VOCABULARY)
    assert np.exp(first.logprobs[[1, 3]]) == pytest.approx([0.75, 0.25], abs=0.3)
    row = np.zeros(8, np.float32)
    assert words.row(row, b"tire", VOCABULARY, INDEX) is row
    assert words.row(row, b"tries.", VOCABULARY, INDEX) is row


def test_the_tokens_up_to_the_end_of_the_word():
    words, row = KnownWords(("_entries",), "_en", True), np.zeros(8, np.float32)
    least = math.log(IMPOSSIBLE)
    assert words.row(row, b"t", VOCABULARY, INDEX) == pytest.approx([least] * 3 + [0.0] + [least] * 4)
    assert not row.any()  # the model's own choice
    whole = words.row(row, b"tries", VOCABULARY, INDEX)
    assert whole[7] == 0.0  # the word may end there
    assert whole[6] == pytest.approx(least)


def test_what_is_improbable_is_found_where_it_is_all_there_can_be(monkeypatch):
    monkeypatch.setattr("engine.healing.known_words.LOOKED_AT", 1)
    row = np.array([9.0, 8.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.float32)
    found = KnownWords(("_entries",), "_en", True).row(row, b"t", VOCABULARY, INDEX)
    assert found.argmax() == 3
    assert KnownWords(("_entries",), "_en").row(row, b"t", VOCABULARY, INDEX) is row


@given(
    st.lists(st.text(alphabet="ab_.", max_size=4), max_size=5),
    st.text(alphabet="ab_", max_size=3),
    st.text("ab_.", max_size=5),
)
def test_agreement_is_what_it_says(words: list[str], typed: str, added: str):
    known = KnownWords.of(f"x.{typed}", words, only=False)
    whole = typed + added
    word, dot, _ = whole.partition(".")
    expected = word in words if dot else any(other.startswith(word) for other in words)
    assert (known is not None and known.agree_with(added.encode())) == (expected and known is not None)


def test_a_completion_takes_the_word_that_is_known():
    tokenizer = toy_tokenizer("superword")
    size, ids = tokenizer.vocabulary.size, {data: at for at, data in enumerate(tokenizer.vocabulary.token_bytes)}
    end, *_ = control_ids(tokenizer)
    table: dict[TokenIds, dict[int, float]] = {(): {ids[b"name"]: 5.0, ids[b"numpy"]: 4.0, ids[b"np"]: 2.0}}
    completer, _ = fake_completer(tokenizer, table_model(size, table, floor=-9.0), begin=end)
    stop = StopParams(max_new_tokens=1)

    def text(*words: str, only: bool = False) -> str:
        request = CompletionRequest("n", words=frozenset(words), only_words=only, stop=stop)
        return completer.complete(request).completions[0].text

    assert text() == text("other") == text("np") == "ame"
    assert text("numpy") == "umpy"
    assert text("np", only=True) == "p"
