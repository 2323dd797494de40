"""Every name of a split rule against llama.cpp: the same file and text must give the same tokens.

The vocabulary is trained on the texts themselves, across all boundaries. So nearly every boundary that a rule has or
lacks shows in the tokens.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from benchmarks.llama_library import LlamaVocabulary
from engine.text.tokenizer import Tokenizer
from onnx_export.gguf.header import read_header
from onnx_export.gguf.split_rules import SPLIT_RULES
from onnx_export.gguf.tokenizer import read_tokenizer
from tests.onnx_export.gguf.files import write_model
from tests.onnx_export.gguf.split_texts import TEXTS

pytestmark = pytest.mark.slow

UNKNOWN_TO_LLAMA = frozenset({"codegen"})
_MARKS = frozenset({text for text in TEXTS if "\u0301" in text})
_SPACES = frozenset({text for text in TEXTS if "\u3000" in text})
APPROXIMATED: Mapping[str, frozenset[str]] = {
    # llama.cpp has no classes of upper and lower case, and lets no accent that stands alone belong to a word. We keep
    # to the published expression; `test_split_rules` compares o200k and Tekken.
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "tekken"), _MARKS),
    # The ranges of Asian characters include U+3000; llama.cpp replaces every wide space before it looks for them.
    **dict.fromkeys(("deepseek-coder", "deepseek-llm"), _SPACES),
}
"""Texts that llama.cpp cuts otherwise than the published tokenizer."""


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    pytest.importorskip("xllamacpp", reason="compares with llama.cpp: pip install xllamacpp")
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=6000, min_frequency=2, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    library.train_from_iterator([text for text in TEXTS for _ in range(2)], trainer)
    found: dict[str, Any] = json.loads(library.to_str())
    end = len(found["model"]["vocab"])
    found["added_tokens"] = [{"id": end, "content": "<|endoftext|>", "special": True}]
    return found


@pytest.mark.parametrize("name", sorted(SPLIT_RULES.keys() - UNKNOWN_TO_LLAMA))
def test_llama_cpp_cuts_alike(tmp_path: Path, raw: dict[str, Any], name: str) -> None:
    path = tmp_path / "m.gguf"
    write_model(path, pre=name, raw=raw)
    ours, theirs = Tokenizer(read_tokenizer(read_header(path)).text), LlamaVocabulary(path)
    try:
        differing = {text for text in TEXTS if theirs.encode(text) != ours.encode(text)}
    finally:
        theirs.close()
    assert differing == APPROXIMATED.get(name, frozenset())
