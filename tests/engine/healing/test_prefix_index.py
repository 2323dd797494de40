"""Prefix queries of both implementations against the obvious one, and damage that a saved index must survive."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.healing.prefix_index import DatrieIndex, PrefixIndex, SortedIndex, escape, load_or_build_index
from engine.text.vocabulary import Vocabulary, load_vocabulary
from tests.real import NAMES, real_tokenizer
from tests.reference.prefixes import ids_with_prefix
from tests.strategies import byte_prefixes, random_vocabularies
from tests.toy import TOYS, byte_level, superword

HAVE_DATRIE = find_spec("datrie") is not None
HASH = "0123456789abcdef" * 4
needs_datrie = pytest.mark.skipif(not HAVE_DATRIE, reason="datrie is not installed")


def vocabulary_of(entries: list[bytes]) -> Vocabulary:
    ids = np.arange(len(entries), dtype=np.int32)
    return Vocabulary(tuple(entries), frozenset(), ids, max(map(len, entries), default=0), "byte-level")


def indexes(vocabulary: Vocabulary) -> list[PrefixIndex]:
    built: list[PrefixIndex] = [SortedIndex(vocabulary)]
    return [*built, DatrieIndex.build(vocabulary)] if HAVE_DATRIE else built


def found(index: PrefixIndex, prefix: bytes) -> list[int]:
    return [int(token) for token in index.ids[index.slice(prefix)]]


@pytest.mark.parametrize("name", sorted(TOYS))
def test_every_beginning_of_every_entry_finds_its_extensions(name):
    vocabulary = load_vocabulary(TOYS[name]())
    for index in indexes(vocabulary):
        for entry in vocabulary.token_bytes:
            for length in range(len(entry) + 1):
                assert found(index, entry[:length]) == ids_with_prefix(vocabulary, entry[:length]), index.name


@given(st.data())
def test_random_vocabularies_answer_like_the_reference(data):
    vocabulary = load_vocabulary(data.draw(random_vocabularies()))
    prefix = data.draw(byte_prefixes(vocabulary))
    for index in indexes(vocabulary):
        assert found(index, prefix) == ids_with_prefix(vocabulary, prefix), index.name


@given(st.sets(st.binary(min_size=1, max_size=6), max_size=40), st.binary(max_size=4))
def test_any_bytes_can_be_entries_and_prefixes(entries, prefix):
    vocabulary = vocabulary_of(sorted(entries, key=lambda entry: entry[::-1]))
    for index in indexes(vocabulary):
        assert found(index, prefix) == ids_with_prefix(vocabulary, prefix), index.name


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_both_implementations_agree_on_real_vocabularies(name, data):
    vocabulary = real_tokenizer(name).vocabulary
    prefix = data.draw(byte_prefixes(vocabulary))
    answers = [found(index, prefix) for index in _real_indexes(name)]
    assert all(answer == answers[0] for answer in answers)
    assert all(vocabulary.token_bytes[token].startswith(prefix) for token in answers[0])


@cache
def _real_indexes(name: str) -> list[PrefixIndex]:
    return indexes(real_tokenizer(name).vocabulary)


def test_the_empty_prefix_is_everything_and_an_absent_one_nothing():
    for index in indexes(load_vocabulary(byte_level())):
        assert index.slice(b"") == slice(0, len(index.ids))
        assert found(index, b"returned") == []
        assert index.ids.dtype == np.int32


def test_an_empty_vocabulary_has_no_extensions():
    for index in indexes(vocabulary_of([])):
        assert found(index, b"") == found(index, b"a") == []


def test_entries_of_128_and_1024_bytes_are_found():
    vocabulary = vocabulary_of([b"x" * 1024, b"x" * 128, b"x", b"x" * 1023 + b"y"])
    for index in indexes(vocabulary):
        assert found(index, b"x" * 129) == [0, 3]
        assert found(index, b"x" * 1024) == [0]
        assert found(index, b"x" * 1025) == []


def test_control_tokens_are_never_found():
    vocabulary = load_vocabulary(byte_level())
    for index in indexes(vocabulary):
        assert not vocabulary.control_ids & set(index.ids.tolist())
        assert found(index, b"<|") == []


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_escaping_keeps_order_and_prefixes_and_stays_in_255_characters(left, right):
    assert (left < right) == (escape(left) < escape(right))
    assert left.startswith(right) == escape(left).startswith(escape(right))
    assert all(1 <= ord(character) <= 0xF9 for character in escape(left))


@needs_datrie
def test_a_saved_index_is_loaded_again(tmp_path, monkeypatch):
    vocabulary = load_vocabulary(superword())
    built = load_or_build_index(vocabulary, tmp_path, HASH)
    assert [path.name for path in tmp_path.iterdir()] == ["prefix-index-0123456789abcdef"]
    monkeypatch.setattr(DatrieIndex, "build", _never)
    loaded = load_or_build_index(vocabulary, tmp_path, HASH)
    for prefix in (b"", b" ", b"im", b"import numpy a", b"zz", b"\xf0\x9f"):
        assert found(loaded, prefix) == found(built, prefix)
    assert loaded.name == "datrie"


@needs_datrie
@pytest.mark.parametrize("part", ["trie.datrie", "ids.npy", "index.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_index_is_built_anew(tmp_path, part, damage):
    vocabulary = load_vocabulary(byte_level())
    load_or_build_index(vocabulary, tmp_path, HASH)
    path = next(tmp_path.iterdir()) / part
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] + (b"" if damage == "cut" else bytes([data[len(data) // 2] ^ 255])))
    assert DatrieIndex.load(vocabulary, path.parent, HASH) is None
    assert found(load_or_build_index(vocabulary, tmp_path, HASH), b"ret") == ids_with_prefix(vocabulary, b"ret")
    assert DatrieIndex.load(vocabulary, path.parent, HASH) is not None


@needs_datrie
@pytest.mark.parametrize("field", ["format", "tokenizer"])
def test_an_index_of_another_tokenizer_or_format_is_not_used(tmp_path, field):
    vocabulary = load_vocabulary(byte_level())
    load_or_build_index(vocabulary, tmp_path, HASH)
    meta = next(tmp_path.iterdir()) / "index.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {field: "other"}))
    assert DatrieIndex.load(vocabulary, meta.parent, HASH) is None


@needs_datrie
def test_an_index_of_other_candidates_is_not_used(tmp_path):
    load_or_build_index(load_vocabulary(byte_level()), tmp_path, HASH)
    assert DatrieIndex.load(load_vocabulary(superword()), next(tmp_path.iterdir()), HASH) is None


@needs_datrie
def test_a_folder_that_cannot_be_written_keeps_the_index_in_memory(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    vocabulary = load_vocabulary(byte_level())
    assert found(load_or_build_index(vocabulary, tmp_path, HASH), b"retu") == ids_with_prefix(vocabulary, b"retu")
    assert list(tmp_path.iterdir()) == []


@needs_datrie
def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    load_or_build_index(load_vocabulary(byte_level()), tmp_path, HASH)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_written():
    vocabulary = load_vocabulary(byte_level())
    assert found(load_or_build_index(vocabulary, None, HASH), b"ht") == ids_with_prefix(vocabulary, b"ht")


def test_without_datrie_the_sorted_index_answers(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.healing.prefix_index.datrie", None)
    index = load_or_build_index(load_vocabulary(byte_level()), tmp_path, HASH)
    assert index.name == "sorted"
    assert list(tmp_path.iterdir()) == []


def _never(*_args):
    raise AssertionError("the index is built although it is saved")
