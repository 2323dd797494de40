"""Vocabularies without an entry for some bytes: what the model reads instead, and where the tail begins."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ContractError
from engine.text.tokenizer import Tokenizer
from engine.text.unwritten_bytes import UnwrittenBytes
from tests.toy import byte_level, spell

MISSING = (0x04, 0x1D, 0xF1, 0xF2)


def without(*missing: int) -> str:
    """The byte-level toy vocabulary without the entries of some bytes."""
    raw = json.loads(byte_level())
    for byte in missing:
        del raw["model"]["vocab"][spell(bytes([byte]))]
    return json.dumps(raw)


TEXTS = st.text(st.sampled_from("ab .\n\x04\x1dé中😀\U00050000"), max_size=20)


@given(text=TEXTS)
def test_what_is_read_has_as_many_characters_and_bytes(text: str) -> None:
    tokenizer = Tokenizer(without(*MISSING))
    read = tokenizer.readable(text)
    assert len(read) == len(text)
    assert len(read.encode()) == len(text.encode())
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == read.encode()
    kept = [character for character in text if not set(character.encode()) & set(MISSING)]
    assert [new for new, old in zip(read, text, strict=True) if not set(old.encode()) & set(MISSING)] == kept


@given(text=TEXTS, boundary=st.integers(0, 20))
def test_the_tail_is_what_the_document_holds(text: str, boundary: int) -> None:
    tokenizer = Tokenizer(without(*MISSING))
    context, tail = tokenizer.encode_split(text, min(boundary, len(text)))
    written = tokenizer.decode_bytes(tail)
    assert text.encode().endswith(written)
    assert not set(written) & set(MISSING)
    assert tokenizer.decode_bytes(context + tail) == tokenizer.readable(text).encode()


def test_vocabularies_with_all_bytes_read_everything() -> None:
    tokenizer = Tokenizer(byte_level())
    assert tokenizer.vocabulary.missing == frozenset()
    assert tokenizer.readable("\x04\U00050000") == "\x04\U00050000"


def test_a_vocabulary_that_cannot_write_code_is_refused() -> None:
    with pytest.raises(ContractError, match="no entry for byte 0x28"):
        Tokenizer(without(ord("(")))


def test_a_character_with_an_entry_of_its_own_is_written() -> None:
    assert UnwrittenBytes({0xC3}, "é").readable("éà") == "é§"
