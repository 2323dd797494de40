"""Tokenizers of GGUF files: SentencePiece's merges against its own algorithm, roles of ids, and what is refused."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ExportError
from engine.text.tokenizer import Tokenizer
from onnx_export.gguf.header import read_header
from onnx_export.gguf.split_rules import SPLIT_RULES
from onnx_export.gguf.tokenizer import TokenizerOfFile, merges_of, read_tokenizer
from tests.onnx_export.gguf.files import write_model
from tests.toy import byte_level, tokenizer_json


def by_scores(text: str, vocabulary: dict[str, int], scores: list[float]) -> list[str]:
    """SentencePiece's BPE: of all neighbours, merge the pair with the best score, the leftmost of equals."""
    pieces = list(text)
    while True:
        best = [
            (-scores[vocabulary[left + right]], at)
            for at, (left, right) in enumerate(pairwise(pieces))
            if left + right in vocabulary
        ]
        if not best:
            return pieces
        _, at = min(best)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


@given(
    entries=st.lists(st.text("abc", min_size=2, max_size=5), max_size=20, unique=True),
    text=st.text("abc", min_size=1, max_size=20),
    seed=st.integers(0, 1000),
)
def test_merges_are_those_of_the_scores(entries: list[str], text: str, seed: int) -> None:
    letters = ["a", "b", "c", "▁"]
    vocabulary = {entry: number for number, entry in enumerate([*letters, *entries])}
    scores = (-np.random.default_rng(seed).permutation(len(vocabulary)).astype(np.float32)).tolist()
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    raw = json.loads(
        tokenizer_json(
            [*vocabulary, *fallback],
            [(left, right) for left, right in merges_of(vocabulary, np.array(scores))],
            model={"byte_fallback": True},
            normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        )
    )
    found = Tokenizer(json.dumps(raw)).encode(text)
    assert found == tuple(vocabulary[piece] for piece in by_scores(text, vocabulary, scores))


def of(path: Path, **changes: Any) -> TokenizerOfFile:
    write_model(path, **changes)
    return read_tokenizer(read_header(path))


def test_the_begin_id_counts_where_texts_begin_with_it(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    bos = {"tokenizer.ggml.bos_token_id": 7}
    assert of(path, fields=bos).control.begin is None
    assert of(path, fields=bos, pre="llama-bpe").control.begin == 7
    assert of(path, fields=bos | {"tokenizer.ggml.add_bos_token": True}).control.begin == 7
    assert of(path, kind="llama").control.begin == 1
    assert of(path, kind="llama", fields={"tokenizer.ggml.add_bos_token": False}).control.begin is None


def test_ends_are_the_stated_ones_and_the_known_names(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    names = {token["content"]: token["id"] for token in json.loads(of(path).text)["added_tokens"]}
    stated = [names["<|fim_suffix|>"], names["<|fim_prefix|>"]]
    fields = {"tokenizer.ggml.eos_token_id": stated[0], "tokenizer.ggml.fim_pad_token_id": stated[1]}
    assert of(path, fields=fields).control.end == (*stated, names["<|endoftext|>"])


@pytest.mark.parametrize("name", ["eos_token_id", "eot_token_id"])
def test_an_end_that_is_ordinary_text_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=r"names 5 as the end of a text, which is the ordinary entry '.'") as caught:
        of(tmp_path / "m.gguf", fields={f"tokenizer.ggml.{name}": 5})
    assert "\n" not in str(caught.value)


def test_control_entries_that_a_file_calls_ordinary_are_ends_all_the_same(tmp_path: Path) -> None:
    """As in files of older converters."""
    path = tmp_path / "m.gguf"
    raw = json.loads(byte_level())
    end = max(raw["model"]["vocab"].values()) + 1
    raw["model"]["vocab"]["<|im_end|>"] = end
    raw["added_tokens"] = []
    write_model(path, raw=raw, fields={"tokenizer.ggml.eos_token_id": end})
    assert read_tokenizer(read_header(path)).control.end == (end,)


def test_stated_ids_fill_the_middle_where_the_names_are_unknown(tmp_path: Path) -> None:
    fields = {f"tokenizer.ggml.fim_{part}_token_id": 300 + at for at, part in enumerate(("pre", "suf", "mid"))}
    found = of(tmp_path / "m.gguf", fields=fields, kind="llama")
    assert found.fim is not None
    # The toy's names are known, so they count.
    assert 300 not in found.fim.control_ids


@pytest.mark.parametrize("name", sorted(SPLIT_RULES))
def test_every_rule_gives_back_what_it_reads(tmp_path: Path, name: str) -> None:
    tokenizer = Tokenizer(of(tmp_path / "m.gguf", pre=name).text)
    for text in ("if x:\n\treturn 12345 + y_1  # größe 日本語\r\n\r\n", "  don't  ", "αβγ ABCdef", "\n\n   \n"):
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokenizer.ggml.model": "bert"}, "kind 'bert'; only 'gpt2' and 'llama'"),
        ({"tokenizer.ggml.model": "no_vocab"}, "has no tokenizer"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "2 types of them"),
    ],
)
def test_tokenizers_that_are_not_known(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = tmp_path / "m.gguf"
    write_model(path)
    file = read_header(path)
    changed = dict(file.fields) | {name: value for name, value in fields.items() if not isinstance(value, list)}
    arrays = dict(file.arrays)
    for name, value in fields.items():
        if isinstance(value, list):
            place = arrays[name]
            arrays[name] = type(place)(place.start, place.start + 8, len(value), place.dtype)
    broken = type(file)(file.path, file.size, changed, arrays, file.tensors)
    with pytest.raises(ExportError, match=message):
        read_tokenizer(broken)
