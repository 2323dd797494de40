"""The tokenizers of real models that some tests use: NAME.json.gz in the folder that TEST_TOKENIZERS names, else in
.tokenizers, where ``make vocabularies`` puts them. They are never committed.
"""

import gzip
import os
from functools import cache
from pathlib import Path

import pytest

from engine.text.tokenizer import Tokenizer

VARIABLE = "TEST_TOKENIZERS"
FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[1] / ".tokenizers")
NAMES = ("p50k_base", "cl100k_base", "o200k_base")


def real_json(name: str) -> str:
    """The tokenizer.json of a real tokenizer. The test is skipped if it is absent."""
    path = FOLDER / f"{name}.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {FOLDER}; 'make vocabularies' fetches it")
    return gzip.decompress(path.read_bytes()).decode()


@cache
def real_tokenizer(name: str) -> Tokenizer:
    """The same, loaded once for all tests."""
    return Tokenizer(real_json(name))
