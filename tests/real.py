"""The tokenizers of real models that some tests use. They lie beside the repository, never in it."""

import gzip
from functools import cache
from pathlib import Path

import pytest

from engine.text.tokenizer import Tokenizer

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "tokenizers"
NAMES = ("p50k_base", "cl100k_base", "o200k_base")


def real_json(name: str) -> str:
    """The tokenizer.json of a real tokenizer; skips the test where it is not there."""
    path = FOLDER / f"{name}.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in shared/data/tokenizers beside the repository")
    return gzip.decompress(path.read_bytes()).decode()


@cache
def real_tokenizer(name: str) -> Tokenizer:
    """The same, loaded; once for all tests."""
    return Tokenizer(real_json(name))
