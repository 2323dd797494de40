"""The bytes of each id and which ids may be candidates: one test for each decision."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ContractError, ModelFolderError
from engine.text.spellings import byte_alphabet
from engine.text.vocabulary import LONGEST_ENTRY, MAX_SIZE, MOST_ADDED, Vocabulary, load_vocabulary
from tests.real import real_json, real_tokenizer
from tests.strategies import random_vocabularies
from tests.toy import (
    CONTROL_TOKENS,
    TOYS,
    byte_level,
    byte_level_json,
    every_byte,
    sentencepiece,
    spell,
    tokenizer_json,
    trained_toy,
)


def id_of(vocabulary: Vocabulary, data: bytes) -> int:
    """The candidate with these bytes."""
    (token,) = [token for token in vocabulary.candidate_ids.tolist() if vocabulary.token_bytes[token] == data]
    return int(token)


def changed(text: str, **parts) -> str:
    return json.dumps(json.loads(text) | parts)


def with_model(text: str, **parts) -> str:
    return changed(text, model=json.loads(text)["model"] | parts)


def test_the_alphabet_spells_256_bytes_with_256_characters():
    alphabet = byte_alphabet()
    assert len(set(alphabet)) == 256
    assert (alphabet[0x20], alphabet[0x0A], alphabet[0x41], alphabet[0x00]) == ("Ġ", "Ċ", "A", "Ā")


def test_byte_level_entries_spell_bytes():
    vocabulary = load_vocabulary(byte_level())
    assert vocabulary.kind == "byte-level"
    assert vocabulary.token_bytes[:256] == tuple(every_byte())
    assert id_of(vocabulary, b" numpy") == vocabulary.token_bytes.index(b" numpy")
    assert vocabulary.bytes_of([97, 10, id_of(vocabulary, b"return")]) == b"a\nreturn"
    assert vocabulary.longest == len(b"return")


def test_sentencepiece_entries_are_text_with_marks_and_fallback_bytes():
    vocabulary = load_vocabulary(sentencepiece())
    assert vocabulary.kind == "sentencepiece"
    assert vocabulary.token_bytes[0xF0] == b"\xf0"
    assert id_of(vocabulary, b" numpy") > 256
    assert id_of(vocabulary, "é".encode()) > 256


@pytest.mark.parametrize("name", sorted(TOYS))
def test_control_tokens_write_nothing_and_are_no_candidates(name):
    vocabulary = load_vocabulary(TOYS[name]())
    assert vocabulary.control_ids == set(range(vocabulary.size - len(CONTROL_TOKENS), vocabulary.size))
    assert vocabulary.bytes_of(vocabulary.control_ids) == b""
    assert not vocabulary.control_ids & set(vocabulary.candidate_ids.tolist())


def test_gaps_and_the_unknown_token_are_control_tokens():
    text = byte_level_json(every_byte(), [])
    raw = json.loads(text)
    raw["model"]["vocab"]["<unk>"] = 300
    raw["model"]["unk_token"] = "<unk>"
    vocabulary = load_vocabulary(json.dumps(raw))
    assert vocabulary.size == 301
    assert vocabulary.control_ids == set(range(256, 301))


def test_an_id_of_both_a_control_token_and_an_entry_is_control():
    raw = json.loads(byte_level())
    shared = raw["model"]["vocab"]["return"]
    raw["added_tokens"][0]["id"] = shared
    vocabulary = load_vocabulary(json.dumps(raw))
    assert shared in vocabulary.control_ids
    assert vocabulary.token_bytes[shared] == b""
    assert b"return" not in vocabulary.token_bytes


def test_a_control_token_that_the_model_lists_too_is_control():
    vocabulary = load_vocabulary(trained_toy(["import numpy as np"], 280))
    assert vocabulary.control_ids == {0, 1, 2, 3}
    assert vocabulary.token_bytes[0] == b""


def test_added_tokens_that_are_not_special_are_text_and_candidates():
    added = [{"content": "<tab é>", "special": False}]
    vocabulary = load_vocabulary(byte_level_json(every_byte(), [], added=added))
    assert vocabulary.token_bytes[-1] == "<tab é>".encode()
    assert vocabulary.size - 1 in vocabulary.candidate_ids


def test_an_added_token_stands_for_the_entry_of_the_same_bytes():
    merges = [(b" ", b" ")]
    text = byte_level_json([*every_byte(), b"  "], merges, added=[{"content": "  ", "special": False}])
    vocabulary = load_vocabulary(text)
    assert vocabulary.token_bytes[256] == b"  "
    assert id_of(vocabulary, b"  ") == vocabulary.size - 1


def test_a_fallback_byte_with_an_entry_of_its_own_is_no_candidate():
    vocabulary = load_vocabulary(sentencepiece())
    for text in ("a", "/", " "):
        assert vocabulary.token_bytes[ord(text)] == text.encode()
        assert ord(text) not in vocabulary.candidate_ids
        assert id_of(vocabulary, text.encode()) >= 256
    assert ord("A") in vocabulary.candidate_ids
    assert np.count_nonzero(vocabulary.candidate_ids < 256) == 256 - len("abcdefghijklmnopqrstuvwxyz./:123 ")


def test_an_entry_without_a_merge_is_no_candidate_unless_merges_are_ignored():
    entries = [*every_byte(), b"ab", b"cd", b"cdab"]
    text = byte_level_json(entries, [(b"a", b"b"), (b"cd", b"ab")])
    vocabulary = load_vocabulary(text)
    assert vocabulary.token_bytes[256:259] == (b"ab", b"cd", b"cdab")
    assert set(range(256, vocabulary.size)) & set(vocabulary.candidate_ids.tolist()) == {256}
    ignoring = load_vocabulary(with_model(text, ignore_merges=True))
    assert set(range(256, ignoring.size)) & set(ignoring.candidate_ids.tolist()) == {256, 257, 258}


def test_a_merge_may_need_parts_that_a_later_one_makes():
    entries = [*every_byte(), b"ab", b"abc"]
    vocabulary = load_vocabulary(byte_level_json(entries, [(b"ab", b"c"), (b"a", b"b")]))
    assert {256, 257} <= set(vocabulary.candidate_ids.tolist())


WORDS = st.text("abc", min_size=1, max_size=4)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=20), st.sets(WORDS))
def test_merges_in_any_order_reach_the_same(merges, more):
    entries = dict.fromkeys([*every_byte(), *(word.encode() for pair in merges for word in ("".join(pair), *pair))])
    entries |= dict.fromkeys(word.encode() for word in more)
    pairs = [(left.encode(), right.encode()) for left, right in merges]
    reached, before = set(every_byte()), 0
    while len(reached) > before:  # repeat until nothing is new
        before = len(reached)
        reached |= {left + right for left, right in pairs if left in reached and right in reached}
    vocabulary = load_vocabulary(byte_level_json(list(entries), pairs))
    assert {vocabulary.token_bytes[token] for token in vocabulary.candidate_ids.tolist()} == reached


def test_merges_in_the_worst_order_take_no_longer():
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [(first + letters * 70)[:length].encode() for first in letters for length in range(2, 1000)]
    pairs = [(word[:-1], word[-1:]) for word in reversed(words)]
    text = byte_level_json([*every_byte(), *words], pairs)
    started = time.thread_time()
    assert load_vocabulary(text).size > len(pairs)
    assert time.thread_time() - started < 3  # a pass over all merges for each length would take half a minute


@pytest.mark.parametrize("ignore_merges", [False, True])
def test_characters_outside_the_alphabet_are_no_candidates(ignore_merges):
    raw = json.loads(byte_level_json(every_byte(), []))
    raw["model"]["vocab"] |= {"a b": 256, "中": 257}
    raw["added_tokens"] = []
    raw["model"]["ignore_merges"] = ignore_merges
    vocabulary = load_vocabulary(json.dumps(raw))
    assert vocabulary.token_bytes[256:] == (b"a b", "中".encode())
    assert vocabulary.candidate_ids.tolist() == list(range(256))


def test_an_entry_without_bytes_is_no_candidate():
    raw = json.loads(byte_level_json(every_byte(), []))
    raw["model"]["vocab"][""] = 256
    raw["model"]["ignore_merges"] = True
    raw["added_tokens"] = [{"id": 257, "content": "", "special": False}]
    vocabulary = load_vocabulary(json.dumps(raw))
    assert vocabulary.candidate_ids.tolist() == list(range(256))


def test_entries_of_128_and_1024_bytes():
    merges = [(b" " * length, b" " * length) for length in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
    vocabulary = load_vocabulary(byte_level_json([*every_byte(), *(left * 2 for left, _ in merges)], merges))
    assert vocabulary.longest == 1024
    assert {len(vocabulary.token_bytes[token]) for token in vocabulary.candidate_ids.tolist()} >= {128, 1024}


def test_merges_in_the_older_spelling_are_the_same():
    text = byte_level()
    merges = [" ".join(pair) for pair in json.loads(text)["model"]["merges"]]
    older = load_vocabulary(with_model(text, merges=merges))
    assert older.candidate_ids.tolist() == load_vocabulary(text).candidate_ids.tolist()


@given(random_vocabularies())
def test_candidates_have_bytes_and_no_two_the_same(text):
    vocabulary = load_vocabulary(text)
    found = [vocabulary.token_bytes[token] for token in vocabulary.candidate_ids.tolist()]
    assert all(found)
    assert len(set(found)) == len(found)
    assert vocabulary.candidate_ids.tolist() == sorted(set(vocabulary.candidate_ids.tolist()))
    assert set(every_byte()) <= set(found)
    assert vocabulary.longest == max(map(len, vocabulary.token_bytes))


@given(st.binary(max_size=20))
def test_spelling_is_undone(data):
    entries = [*every_byte(), *([data] if len(data) > 1 else [])]
    assert load_vocabulary(byte_level_json(entries, [])).token_bytes[: len(entries)] == tuple(entries)
    assert len(spell(data)) == len(data)


@pytest.mark.parametrize(
    ("name", "size", "candidates"),
    [("p50k_base", 50284, 50279), ("cl100k_base", 100260, 100256), ("o200k_base", 200002, 199998)],
)
def test_real_vocabularies(name, size, candidates):
    vocabulary = real_tokenizer(name).vocabulary
    assert (vocabulary.size, len(vocabulary.candidate_ids), vocabulary.longest) == (size, candidates, 128)
    assert set(range(size)) - set(vocabulary.candidate_ids.tolist()) == vocabulary.control_ids


def test_a_real_file_that_gives_one_id_twice():
    raw = json.loads(real_json("p50k_base"))
    (spelling,) = [text for text, token in raw["model"]["vocab"].items() if token == 50280]
    assert spelling == "Ġ" * 25
    assert raw["added_tokens"][0]["id"] == 50280
    vocabulary = real_tokenizer("p50k_base").vocabulary
    assert {50256, 50280} <= vocabulary.control_ids
    assert b" " * 25 not in vocabulary.token_bytes


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"model": 5}', '{"model": {"type": "BPE"}}', "[" * 100_000, '"\\ud800"']
)
def test_what_is_no_tokenizer_is_refused_in_one_line(text):
    with pytest.raises(ModelFolderError) as caught:
        load_vocabulary(text)
    assert "\n" not in str(caught.value)
    assert "tokenizer.json" in str(caught.value)


BYTES = byte_level_json(every_byte(), [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_model(BYTES, type="WordPiece"), "WordPiece"),
        (with_model(BYTES, type="Unigram", vocab=[["a", -1.0]]), "Unigram"),
        (with_model(BYTES, type="WordLevel"), "WordLevel"),
        (with_model(BYTES, continuing_subword_prefix="##"), "continuing_subword_prefix"),
        (with_model(BYTES, end_of_word_suffix="</w>"), "end_of_word_suffix"),
        (changed(BYTES, pre_tokenizer=None), "no ByteLevel pre-tokenizer"),
        (changed(BYTES, pre_tokenizer=None, decoder=None), "neither byte-level nor SentencePiece"),
        (byte_level_json(every_byte()[:65], []), "0x41"),
        (with_model(BYTES, vocab={"a": 1, "b": 1}), "id 1 to two"),
        (with_model(BYTES, vocab={"a": -1}), "-1"),
        (with_model(BYTES, vocab={"a": 1 << 40}), str(1 << 40)),
        (with_model(BYTES, vocab={"a": MAX_SIZE}), str(MAX_SIZE)),
        (with_model(BYTES, vocab={"a" * (LONGEST_ENTRY + 1): 0}), "4097 characters"),
        (changed(BYTES, added_tokens=[{"id": 256, "content": "a" * 50_000_000}]), "50000000 characters"),
        (changed(BYTES, added_tokens=[{"id": 256, "content": "a"}] * (MOST_ADDED + 1)), "16385 added tokens"),
        (with_model(sentencepiece(), byte_fallback=False), "byte fallback"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_healed_exactly_is_refused_in_one_line(text, says):
    with pytest.raises(ContractError) as caught:
        load_vocabulary(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("merge", ["abc", ["a"], ["a", "b", "c"], ["a", 3], 7, None])
def test_a_malformed_merge_is_refused(merge):
    with pytest.raises(ModelFolderError, match="merge"):
        load_vocabulary(with_model(BYTES, merges=[merge]))


@pytest.mark.parametrize("vocab", [{"a": "1"}, {"a": 1.5}, {"a": None}, {"a": True}, ["a"], None])
def test_malformed_ids_are_refused(vocab):
    with pytest.raises(ModelFolderError):
        load_vocabulary(with_model(BYTES, vocab=vocab))


def test_parts_may_be_missing():
    raw = json.loads(tokenizer_json([spell(entry) for entry in every_byte()], [], pre_tokenizer={"type": "ByteLevel"}))
    del raw["added_tokens"], raw["normalizer"], raw["decoder"], raw["model"]["type"]
    assert load_vocabulary(json.dumps(raw)).size == 256
