"""What may stand at the beginning of a text that continues, against encoding texts that do continue."""

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as LibraryTokenizer

from engine.text.prefix_encodings import CONTINUATIONS
from engine.text.tokenizer import Tokenizer
from tests.fakes import toy_tokenizer

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
CONTRACTIONS = r"[^\r\n\p{L}\p{N}]?\p{L}+(?i:'s|'t|'ll)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
"""An ending that joins the word before it, digits in threes, line breaks with the space before them."""
MERGES = "a a, aa a, Ġ a, Ġ Ġ, ĠĠ ĠĠ, ĠĠ Ġ, 1 1, ' t, ' l, 'l l, a ', a' t, Ċ ĠĠ, Ċ Ċ, b '"


def small_tokenizer(splitter: pre_tokenizers.PreTokenizer, *, ignore_merges: bool = False) -> Tokenizer:
    pairs = [(left, right) for left, right in (pair.split() for pair in MERGES.split(", "))]
    entries = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in pairs)]
    # An entry that no merge makes: only the lookup of whole pre-tokens writes it.
    entries += ["bab"] if ignore_merges else []
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    library = LibraryTokenizer(models.BPE(vocabulary, pairs, ignore_merges=ignore_merges))
    library.pre_tokenizer = splitter
    library.decoder = decoders.ByteLevel()
    return Tokenizer(library.to_str())


def contractions() -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(CONTRACTIONS), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


TOKENIZERS = {
    "gpt2": small_tokenizer(GPT2),
    "contractions": small_tokenizer(contractions()),
    "looked up": small_tokenizer(GPT2, ignore_merges=True),
    "plain": toy_tokenizer("plain"),
    "sentencepiece": toy_tokenizer("sentencepiece"),
}
CHARACTERS = "ab 1'tl\n"
FUTURES = ["".join(more) for count in range(4) for more in product(CHARACTERS + "(c", repeat=count)]
texts = st.text(CHARACTERS, min_size=1, max_size=7)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TOKENIZERS)), texts, st.data())
def test_what_a_beginning_is_encoded_as_in_any_text_is_among_its_encodings(name, text, data):
    tokenizer = TOKENIZERS[name]
    length = data.draw(st.integers(0, len(text) - 1))
    found = tokenizer.prefix_encodings(text.encode())(length)
    assert len(set(found)) == len(found)
    head = tokenizer.vocabulary.bytes_of
    for more in data.draw(st.lists(st.sampled_from(FUTURES), max_size=20)):
        ids = tokenizer.encode_bytes((text + more).encode())
        for count in range(len(ids)):
            if head(ids[:count]) == text[:length].encode():
                assert ids[:count] in found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TOKENIZERS)), texts, st.sampled_from(FUTURES))
def test_every_beginning_of_an_encoding_begins_a_text(name, text, more):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode_bytes((text + more).encode())
    for count in range(1, len(ids) + 1):
        assert tokenizer.begins_a_text(ids[:count]), (text + more, ids[:count])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(TOKENIZERS)), texts, st.data())
def test_what_begins_no_text_is_refused(name, text, data):
    tokenizer = TOKENIZERS[name]
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=4))})
    ids = tuple(i for a, b in pairwise(cuts) for i in tokenizer.encode_bytes(text[a:b].encode()))
    possible = any(tokenizer.encode_bytes((text + more).encode())[: len(ids)] == ids for more in FUTURES)
    if possible:
        assert tokenizer.begins_a_text(ids)
    elif tokenizer.begins_a_text(ids):
        # There are more continuations than this test tries: then one of the engine's own shows it.
        assert any(tokenizer.encode_bytes((text + more).encode())[: len(ids)] == ids for more in CONTINUATIONS)


def test_two_spaces_are_one_token_alone_and_two_before_a_word():
    tokenizer = TOKENIZERS["gpt2"]
    both, one = tokenizer.encode_bytes(b"  "), tokenizer.encode_bytes(b" ")
    assert len(both) == 1
    assert tokenizer.prefix_encodings(b"  self")(2) == (one * 2,)
    assert tokenizer.prefix_encodings(b"  self")(0) == ((),)


def test_the_last_of_many_spaces_begins_a_text_in_which_a_digit_follows():
    tokenizer = TOKENIZERS["contractions"]
    three, one = tokenizer.encode_bytes(b"   "), tokenizer.encode_bytes(b" ")
    pair = tokenizer.encode_bytes(b"  ") + one
    assert len(three) == 1
    assert tokenizer.encode_bytes(b"   1")[:2] == pair
    assert tokenizer.begins_a_text(three)
    assert tokenizer.begins_a_text(pair)
    assert not tokenizer.begins_a_text(one + tokenizer.encode_bytes(b"  "))


def test_an_ending_that_joins_the_word_before_it():
    tokenizer = TOKENIZERS["contractions"]
    (joined,) = (i for i, data in enumerate(tokenizer.vocabulary.token_bytes) if data == b"b'")
    assert tokenizer.encode_bytes(b"b'") != (joined,)
    assert tokenizer.begins_a_text((joined,)), "in b't it is one token, then t"


@pytest.mark.parametrize("data", [b"\xff a", "é 中".encode()[:-1]])
def test_bytes_that_are_no_text_are_encoded_by_themselves(data):
    tokenizer = TOKENIZERS["gpt2"]
    assert tokenizer.prefix_encodings(data)(1) == (tokenizer.encode_bytes(data[:1]),)
    ids = tokenizer.encode_bytes(data)
    assert tokenizer.begins_a_text(ids)


def test_a_part_of_a_pre_token_that_is_looked_up_as_a_whole_may_be_written_by_merges():
    tokenizer = TOKENIZERS["looked up"]
    (whole,) = tokenizer.encode_bytes(b"bab")
    merged = tokenizer.encode_bytes(b"babb")[:3]
    assert tokenizer.vocabulary.bytes_of(merged) == b"bab"
    assert set(tokenizer.prefix_encodings(b"babbb")(3)) == {(whole,), merged}
    assert tokenizer.begins_a_text(merged)
