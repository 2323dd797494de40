import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ExportError
from onnx_export.architectures import FAMILIES, control_ids, family_of, fim_templates
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
    edit(copy / "config.json", vocab_size=100)
    refused(copy, "do not belong together")


def test_a_broken_tokenizer(copy: Path):
    (copy / "tokenizer.json").write_text('{"added_tokens": [], "model": {}}')
    refused(copy, "is not a tokenizer")


def test_notes_with_an_unknown_order(copy: Path):
    edit(copy / "midtoken-source.json", fim_orders=["mps"])
    refused(copy, "fim_orders is")


def test_a_model_without_an_end():
    with pytest.raises(ExportError, match="names no eos_token_id"):
        control_ids({"bos_token_id": 1})
    ids = control_ids({"eos_token_id": [2, 7], "bos_token_id": None})
    assert ids.end == (2, 7)
    assert ids.begin is None


def test_templates_by_spelling():
    family = FAMILIES["llama"]
    assert fim_templates(family, {"<s>": 1}) is None
    bars = {"<|fim_prefix|>": 5, "<|fim_suffix|>": 6, "<|fim_middle|>": 7}
    only_psm = fim_templates(family, bars)
    assert only_psm is not None
    assert only_psm.templates == {"psm": (5, "prefix", 6, "suffix", 7)}
    both = fim_templates(family, bars, ("spm", "psm"))
    assert both is not None
    assert both.default == "spm"
    assert both.templates["spm"] == (5, 6, "suffix", 7, "prefix")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_row_finds_itself(name: str):
    family = FAMILIES[name]
    assert family_of({"model_type": name, "architectures": [family.architecture]}) == family
