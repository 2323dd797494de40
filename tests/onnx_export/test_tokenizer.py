from pathlib import Path

import pytest
from tokenizers import Tokenizer

from onnx_export.train.corpus import Corpus
from onnx_export.train.tokenizer import CONTROL_TOKENS, MAX_TOKEN_CHARS, control_ids, text_only, train_tokenizer

TEXTS = [
    "",
    "   ",
    "def f(x):\n\treturn x  \n\n\n        y = 12345\r\n",
    "# 广州的白云 机场 é é 👩‍👩‍👧‍👦\n",
    "<|endoftext|> is text, and so is <|fim_middle|>",
    "\x00\x01\x7f",
    "a" * 3_000,
]


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_byte_for_byte(tokenizer: Tokenizer, text: str):
    assert tokenizer.decode(ids(tokenizer, text), skip_special_tokens=False) == text


def test_no_text_encodes_to_a_control_token(tokenizer: Tokenizer):
    control = set(vars_of(tokenizer))
    for text in (*TEXTS, *CONTROL_TOKENS, *(f"x{token}\n" for token in CONTROL_TOKENS)):
        assert not control.intersection(ids(tokenizer, text))


def vars_of(tokenizer: Tokenizer) -> list[int]:
    control = control_ids(tokenizer)
    return [
        control.end_of_text,
        control.fim_prefix,
        control.fim_suffix,
        control.fim_middle,
        control.file_separator,
    ]


def test_control_tokens_have_the_first_ids(tokenizer: Tokenizer):
    assert vars_of(tokenizer) == [0, 1, 2, 3, 4]


def test_entries_keep_to_one_pre_token(tokenizer: Tokenizer):
    entries = [entry for entry in tokenizer.get_vocab() if entry not in CONTROL_TOKENS]
    newline, space, tab = "Ċ", "Ġ", "ĉ"
    for entry in entries:
        if newline in entry:
            assert not entry.strip(newline + space + tab), "a line break stands with white space only"
            assert newline not in entry.lstrip(newline), "indentation ends the pre-token"
        if any(digit in entry for digit in "0123456789"):
            assert len(entry) == 1, "digits stand alone"
        assert len(entry) <= MAX_TOKEN_CHARS


def test_entries_span_words(tokenizer: Tokenizer):
    spellings = {entry.replace("Ġ", " ") for entry in tokenizer.get_vocab()}
    assert any(entry.startswith("for i in range(") for entry in spellings)


def test_splitting_before_a_line_break_splits_the_encoding(tokenizer: Tokenizer):
    text = "def f(x):\n    return x\n\n\nclass A:\n    pass"
    for place in (place for place in range(1, len(text)) if text[place] == "\n" and text[place - 1] != "\n"):
        assert ids(tokenizer, text[:place]) + ids(tokenizer, text[place:]) == ids(tokenizer, text)


def test_every_byte_has_an_entry(tokenizer: Tokenizer):
    assert sum(len(entry) == 1 for entry in tokenizer.get_vocab()) == 256


def test_training_twice_gives_the_same_tokenizer(tokenizer: Tokenizer, corpus: Corpus):
    again = train_tokenizer(corpus.train, tokenizer.get_vocab_size())
    assert again.to_str() == tokenizer.to_str()


def test_it_survives_saving(tokenizer: Tokenizer, tmp_path: Path):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = text_only(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    for text in TEXTS:
        assert ids(loaded, text) == ids(tokenizer, text)
