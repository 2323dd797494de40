import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from engine.errors import ExportError
from onnx_export.architectures import FAMILIES, family_of
from onnx_export.checkpoint import read_checkpoint
from onnx_export.torch_model import load_model


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    """A checkpoint folder that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    raw = json.loads(path.read_text())
    raw.update(changes)
    path.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ExportError, match=match) as caught:
        read_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_a_good_checkpoint(copy: Path):
    checkpoint = read_checkpoint(copy)
    assert checkpoint.family.model_type == "llama"
    assert checkpoint.added["<|fim_middle|>"] == 3
    assert checkpoint.source.name == "midtoken-python-tiny"
    assert checkpoint.source.fim_orders == ("spm", "psm")
    assert not checkpoint.source.file_tokens


@pytest.mark.parametrize(
    ("weights", "says"), [([0.5, 1.0], "copying holds 1.0"), ("much", "copying must be a list of at most 8 numbers")]
)
def test_weights_of_copying_are_weights(copy: Path, weights: object, says: str):
    path = copy / "midtoken-source.json"
    notes = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(notes | {"copying": [0.25, 0]}), encoding="utf-8")
    assert read_checkpoint(copy).source.copying == (0.25, 0.0)
    path.write_text(json.dumps(notes | {"copying": weights}), encoding="utf-8")
    refused(copy, says)


def test_a_checkpoint_without_notes_is_named_after_its_folder(copy: Path):
    (copy / "midtoken-source.json").unlink()
    assert read_checkpoint(copy).source.name == "copy"


def test_no_folder(tmp_path: Path):
    refused(tmp_path / "absent", "no checkpoint folder at .*; give a folder")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_file(copy: Path, name: str):
    (copy / name).unlink()
    refused(copy, f"holds no {name}")


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_config_that_is_no_object(copy: Path, content: str):
    (copy / "config.json").write_text(content)
    refused(copy, "cannot be read as JSON|does not hold a JSON object")


def test_code_of_its_own_is_never_run(copy: Path):
    edit(copy / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Mine"})
    refused(copy, "wants to run code of its own")


def test_an_unknown_family(copy: Path):
    edit(copy / "config.json", model_type="wonder")
    refused(copy, "models of type 'wonder' cannot be exported; the supported types are: ")


def test_a_class_that_is_not_a_language_model(copy: Path):
    edit(copy / "config.json", architectures=["LlamaForSequenceClassification"])
    refused(copy, "not LlamaForCausalLM")


def test_pickled_weights(copy: Path):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    refused(copy, r"pickled weights only \(pytorch_model\.bin\)")


def test_no_weights(copy: Path):
    (copy / "model.safetensors").unlink()
    refused(copy, "has no weights")


def test_a_missing_shard(copy: Path):
    index = {"metadata": {}, "weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(copy, "has no model-00002-of-00002.safetensors, which its index names")


def test_an_adapter(copy: Path):
    (copy / "config.json").rename(copy / "adapter_config.json")
    refused(copy, "holds an adapter, not a model; merge it")


def test_a_tokenizer_that_is_not_written_as_json(copy: Path):
    (copy / "tokenizer.json").rename(copy / "tokenizer.model")
    refused(copy, r"tokenizer\.model only; write a tokenizer\.json beside it")


@pytest.mark.parametrize("packed", [{"quant_method": "gptq", "bits": 4}, "gptq"])
def test_weights_that_another_library_has_quantised(copy: Path, packed: Any):
    edit(copy / "config.json", quantization_config=packed)
    refused(copy, r"are quantised already \(gptq\); export the original checkpoint")


def test_weights_that_are_not_all_there(copy: Path):
    tensors = load_file(copy / "model.safetensors")
    for name in [name for name in tensors if "q_proj" in name]:
        del tensors[name]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExportError, match=r"lack model\.layers\.0\.self_attn\.q_proj\.weight and 1 more; copy them"):
        load_model(copy, "float32")


def test_weights_of_bfloat16_in_shards_are_those_of_float32(copy: Path, tmp_path: Path):
    whole = load_model(copy, "float32")
    whole.bfloat16().save_pretrained(tmp_path / "half", max_shard_size="20KB")
    shutil.copyfile(copy / "tokenizer.json", tmp_path / "half" / "tokenizer.json")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    assert read_checkpoint(tmp_path / "half").vocabulary == read_checkpoint(copy).vocabulary
    half = load_model(tmp_path / "half", "float32")
    for ours, theirs in zip(half.parameters(), whole.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs.float())


def test_a_tokenizer_of_another_model(copy: Path):
    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    tokenizer.add_tokens(["another"])
    tokenizer.save(str(copy / "tokenizer.json"))
    refused(copy, r"has \d+ entries but the embedding \d+ rows: tokens were added without resizing")


def test_a_config_that_does_not_fit_the_weights(copy: Path):
    edit(copy / "config.json", vocab_size=100)
    refused(copy, r"says vocab_size 100 but the embedding has \d+ rows")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 64, struct.pack("<Q", 2) + b"[]"], ids=len)
def test_weights_that_are_no_safetensors(copy: Path, data: bytes):
    (copy / "model.safetensors").write_bytes(data)
    refused(copy, r"model\.safetensors cannot be read as safetensors")


def test_weights_that_are_cut_off(copy: Path):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    refused(copy, "cut off")


def test_a_broken_tokenizer(copy: Path):
    (copy / "tokenizer.json").write_text('{"added_tokens": [], "model": {}}')
    refused(copy, "is not a tokenizer")


def test_notes_with_an_unknown_order(copy: Path):
    edit(copy / "midtoken-source.json", fim_orders=["mps"])
    refused(copy, "fim_orders is")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_row_finds_itself(name: str):
    family = FAMILIES[name]
    assert family_of({"model_type": name, "architectures": [family.architecture]}) == family
