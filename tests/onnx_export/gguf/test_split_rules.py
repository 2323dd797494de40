"""How text is cut before merging: each rule against the published tokenizer that it was made for, where one can be had.

The originals are pre-tokenizers: of the vocabularies that `make vocabularies` fetches, of the packages whose data
`make test-export` fetches, and of transformers, which holds those of some families as code. Names that share a rule
share its test. All other names are compared with llama.cpp (`test_llama_split_rules.py`).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from engine.errors import ExportError
from onnx_export.gguf.header import read_header
from onnx_export.gguf.split_rules import SPLIT_RULES
from onnx_export.gguf.tokenizer import split_rule_of
from tests.onnx_export.gguf.files import write_model
from tests.onnx_export.gguf.split_texts import ALPHABET, TEXTS
from tests.onnx_export.published import deepseek_file, tekken_expression
from tests.real import real_json

BARE = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def part_of(text: str) -> dict[str, Any]:
    """The rule in a tokenizer.json; the rest, which is large, is not decoded."""
    _, _, rest = text.partition('"pre_tokenizer":')
    found: dict[str, Any] = json.JSONDecoder().raw_decode(rest.lstrip())[0]
    return found


def of_expression(expression: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, BARE]}


def of_transformers(name: str) -> dict[str, Any]:
    """The rule of a tokenizer class of transformers."""
    transformers = pytest.importorskip("transformers", reason="transformers holds this rule; 'make test-export' has it")
    made = getattr(transformers, name)(vocab={"<|endoftext|>": 0, "<unk>": 1, "a": 2}, merges=[])
    return part_of(made.backend_tokenizer.to_str())


ORIGINALS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "gpt-2": lambda: of_transformers("GPT2Tokenizer"),
    "codegen": lambda: of_transformers("CodeGenTokenizer"),
    "phi-2": lambda: part_of(real_json("p50k_base")),
    "command-r": lambda: of_transformers("CohereTokenizer"),
    "llama-bpe": lambda: part_of(real_json("cl100k_base")),
    "qwen2": lambda: of_transformers("Qwen2Tokenizer"),
    "qwen35": lambda: of_transformers("Qwen3_5Tokenizer"),
    "gpt-4o": lambda: part_of(real_json("o200k_base")),
    "tekken": lambda: of_expression(tekken_expression()),
    "deepseek-v3": lambda: part_of(deepseek_file().read_text(encoding="utf-8")),
}


def splitter(pre_tokenizer: Mapping[str, Any]) -> Callable[[str], list[str]]:
    """The pieces of a text, in the letters of bytes."""
    bare = json.loads(Tokenizer(models.BPE()).to_str())
    made = Tokenizer.from_str(json.dumps({**bare, "pre_tokenizer": pre_tokenizer})).pre_tokenizer
    return lambda text: [piece for piece, _ in made.pre_tokenize_str(text)]


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_a_rule_cuts_as_the_original(name: str) -> None:
    original, ours = splitter(ORIGINALS[name]()), splitter(SPLIT_RULES[name].pre_tokenizer())
    for text in (*TEXTS, "".join(TEXTS)):
        assert ours(text) == original(text)

    @settings(max_examples=60, database=None)
    @given(text=st.text(ALPHABET, max_size=30))
    def check(text: str) -> None:
        assert ours(text) == original(text)

    check()


def test_rules_are_told_apart_by_the_texts() -> None:
    """If two rules cut all texts alike, a test on these texts could not see that a name has the wrong one."""
    cuts = {rule: tuple(map(tuple, map(splitter(rule.pre_tokenizer()), TEXTS))) for rule in set(SPLIT_RULES.values())}
    by_cut: dict[object, list[object]] = {}
    for rule, cut in cuts.items():
        by_cut.setdefault((cut, rule.whole), []).append(rule.expressions)
    assert [rules for rules in by_cut.values() if len(rules) > 1] == []


@pytest.mark.parametrize("name", ["kimi-k2", "gemma4", "afmoe", "superbpe", "bloom", "nonsense\n"])
def test_a_name_that_is_not_known_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "m.gguf", pre=name)
    with pytest.raises(ExportError, match="cuts text by the rule") as caught:
        split_rule_of(read_header(tmp_path / "m.gguf"))
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)
