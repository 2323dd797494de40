import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from engine.errors import ExportError
from onnx_export.architectures import FAMILIES, family_of
from onnx_export.checkpoint import read_checkpoint


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
