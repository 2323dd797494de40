"""Families with the vocabularies of real models, 50,000 to 200,000 entries: exported, checked, healed, filled in.

The tokenizers lie beside the repository; without them the bundled model's own, which is in it, is what is left.
"""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from engine import BUNDLED_MODEL, Completer, CompletionRequest, StopParams
from engine.manifest import load_manifest
from onnx_export.export import export_checkpoint
from tests.onnx_export.families import write_example
from tests.real import real_json


def tokenizer_of(name: str) -> Tokenizer:
    text = (BUNDLED_MODEL / "tokenizer.json").read_text(encoding="utf-8") if name == "bundled" else real_json(name)
    return Tokenizer.from_str(text)


# As these models have them: CodeGen and Qwen have the very vocabularies, with other control tokens.
CASES = [("codegen", "p50k_base"), ("qwen2", "cl100k_base"), ("phi3", "o200k_base"), ("llama", "bundled")]


@pytest.mark.parametrize(("family", "name"), CASES, ids=[f"{family} with {name}" for family, name in CASES])
def test_a_family_with_a_real_vocabulary(tmp_path: Path, family: str, name: str):
    tokenizer = tokenizer_of(name)
    # Of 200,000 rows as few columns as will do.
    checkpoint = write_example(tmp_path / "checkpoint", family, (), tokenizer=tokenizer, end="<|endoftext|>")
    export_checkpoint(checkpoint, tmp_path / "model", precision="fp32")
    manifest = load_manifest(tmp_path / "model")
    added = {token["content"]: token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
    assert manifest.vocabulary.tokenizer == tokenizer.get_vocab_size()
    assert manifest.fim is not None
    assert manifest.fim.control_ids == {added[f"<|fim_{part}|>"] for part in ("prefix", "suffix", "middle")}

    completer = Completer.load(tmp_path / "model", device="cpu", threads=1)
    asked = CompletionRequest(
        "import os\n\n\ndef read(path):\n    retu", "\n\nprint(read)\n", stop=StopParams(max_new_tokens=3)
    )
    trace = completer.trace(asked)
    assert trace.candidates > 1
    assert all(b"".join((*cover.before, cover.data)).endswith(cover.data) for cover in trace.covers)
    result = completer.complete(asked)
    for completion in result.completions:
        assert completion.healing.covers > 1
        assert completion.healing.surprise_bits > 0
