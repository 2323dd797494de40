"""The table: what it says of each model, in which order, under which names."""

import json
from pathlib import Path

import pytest

from engine import ModelFolderError
from lsp_server.models.describing import NEEDS_TORCH, describer
from lsp_server.models.entries import Found
from lsp_server.models.table import found_at
from tests.lsp_server.commands.command_line import make_model_folder, toy_tokenizer
from tests.lsp_server.models.fake_machine import (
    GGUF,
    FakeConverter,
    put_file,
    put_ollama,
    put_repository,
    registry_at,
)

CONFIG = {"architectures": ["ToyForCausalLM"], "max_position_embeddings": 200, "torch_dtype": "bfloat16"}


def checkpoint_files(**more: bytes) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": toy_tokenizer().to_str().encode(),
        "README.md": b"---\nlicense: mit\n---\n",
        **more,
    }


def test_the_bundled_model_is_always_there(tmp_path: Path):
    (entry,) = registry_at(tmp_path).table().entries
    raw = entry.to_json()
    assert list(raw) == [
        "name",
        "path",
        "source",
        "architecture",
        "parameters",
        "quantization",
        "context",
        "fim",
        "licence",
        "bytes",
        "state",
        "reason",
    ]
    assert (raw["name"], raw["source"], raw["state"], raw["fim"]) == ("bundled", "bundled", "ready", True)
    assert raw["context"] == 1024


def test_what_is_told_of_a_file(tmp_path: Path):
    put_ollama(tmp_path / "home/.ollama/models", "smol:135m")
    entry = registry_at(tmp_path).table().find("smol:135m")
    assert entry is not None
    assert entry.to_json() == {
        "name": "smol:135m",
        "path": str(entry.path),
        "source": "ollama",
        "architecture": "llama",
        "parameters": 135000000,
        "quantization": "Q4_1",
        "context": 8192,
        "fim": True,
        "licence": "apache-2.0",
        "bytes": len(GGUF),
        "state": "convertible",
        "reason": None,
    }


def test_ready_before_convertible_before_unusable(tmp_path: Path):
    root = tmp_path / "home/.ollama/models"
    put_ollama(root, "z-usable:1")
    put_ollama(root, "a-broken:1", b"nothing")
    make_model_folder(tmp_path / "store/by-hand")
    entries = registry_at(tmp_path).table().entries
    assert [(entry.name, entry.state) for entry in entries] == [
        ("bundled", "ready"),
        ("by-hand", "ready"),
        ("z-usable:1", "convertible"),
        ("a-broken:1", "unusable"),
    ]
    assert "is no GGUF file" in entries[-1].reason


def test_a_prefix_only_model_says_so(tmp_path: Path):
    put_ollama(tmp_path / "home/.ollama/models", "smol:1", GGUF.replace(b"fim", b"no"))
    entry = registry_at(tmp_path).table().find("smol:1")
    assert entry is not None
    assert entry.state == "convertible"
    assert "from the text before the cursor alone" in entry.reason


def test_one_name_in_two_stores(tmp_path: Path):
    put_file(tmp_path / "home/.lmstudio/models/p/m/model.gguf")
    put_file(tmp_path / "home/.lmstudio/models/q/m/model.gguf", GGUF + b" ")
    put_file(tmp_path / "home/.cache/llama.cpp/model.gguf")
    names = {entry.name for entry in registry_at(tmp_path).table().entries}
    assert names == {"bundled", "model", "llama.cpp/model", "lm-studio/model"}


def test_the_latest_tag_may_be_left_out(tmp_path: Path):
    put_ollama(tmp_path / "home/.ollama/models", "smol:latest")
    table = registry_at(tmp_path).table()
    assert table.find("smol") == table.find("smol:latest") is not None
    assert table.find("smo") is None


def test_a_checkpoint(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    put_repository(root, "org/model", checkpoint_files(**{"model.safetensors": b"12345"}))
    converter = FakeConverter()
    registry = registry_at(tmp_path, converter)
    (found,) = [found for found in _found(registry) if found.kind == "checkpoint"]
    facts = describer(converter, lambda: True)(found)
    assert facts.reason == ""
    assert (facts.architecture, facts.parameters, facts.quantization) == ("ToyForCausalLM", 494, "bfloat16")
    assert (facts.context, facts.fim, facts.licence) == (200, True, "mit")
    assert describer(converter, lambda: False)(found).reason == NEEDS_TORCH
    converter.wants_torch = False
    assert describer(converter, lambda: False)(found).reason == ""
    converter.checkpoint_problem = "models of type 'bert' cannot be exported"
    assert describer(converter, lambda: True)(found).reason == "models of type 'bert' cannot be exported"


def test_a_graph_of_others_in_a_cache(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    put_repository(root, "org/web", checkpoint_files(**{"onnx/model_q4.onnx": b"1", "onnx/model_q4.onnx_data": b"23"}))
    entry = registry_at(tmp_path).table().find("org/web")
    assert entry is not None
    assert (entry.state, entry.facts.quantization, entry.facts.fim) == ("convertible", "int4", True)
    assert entry.facts.bytes > 3


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.json": b"{", "model.safetensors": b""}, "cannot be read as JSON"),
        ({"config.json": b"[]", "model.safetensors": b""}, "no JSON object|not hold a JSON object"),
        ({"config.json": b'{"a": 1}', "model.safetensors": b""}, "no tokenizer.json"),
        (
            {"config.json": b'{"a": 1}', "model.safetensors": b"", "tokenizer.json": b'{"added_tokens": [1]}'},
            "tokenizer",
        ),
        ({"config.json": b"x" * (5 << 20), "model.safetensors": b""}, "at most"),
        ({"config.json": b"{}", "onnx/encoder_model.onnx": b"1"}, "config.json"),
        ({"config.json": b'{"a": 1}', "onnx/encoder_model.onnx": b"1"}, "an encoder and a decoder"),
    ],
)
def test_folders_that_cannot_be_used_say_why(tmp_path: Path, files: dict[str, bytes], reason: str):
    put_repository(tmp_path / "home/.cache/huggingface/hub", "org/odd", files)
    entry = registry_at(tmp_path).table().find("org/odd")
    assert entry is not None
    assert entry.state == "unusable"
    assert any(part in entry.reason for part in reason.split("|")), entry.reason
    assert "\n" not in entry.reason


def test_a_source_that_vanishes_while_it_is_looked_at(tmp_path: Path):
    class Vanishing(FakeConverter):
        def describe_gguf(self, path: Path):
            path.unlink()
            return super().describe_gguf(path)

    put_ollama(tmp_path / "home/.ollama/models", "a:1")
    entry = registry_at(tmp_path, Vanishing()).table().find("a:1")
    assert entry is not None
    assert entry.state == "unusable"
    assert "cannot be read (No such file or directory)" in entry.reason


def test_a_store_of_ours_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def names_in(folder: Path) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lsp_server.models.store.names_in", names_in)
    with pytest.raises(ModelFolderError, match=r"cannot be read \(Permission denied\)"):
        registry_at(tmp_path).table()


def test_an_added_folder_that_is_damaged_is_listed_with_its_reason(tmp_path: Path):
    put_file(tmp_path / "store/broken/midtoken.json", b"{")
    entry = registry_at(tmp_path).table().find("broken")
    assert entry is not None
    assert entry.state == "unusable"
    assert "midtoken.json" in entry.reason


def test_what_a_user_names_by_its_path(tmp_path: Path):
    assert found_at(put_file(tmp_path / "My Model.gguf")).name == "My Model"
    blob = put_ollama(tmp_path, "a:1")
    assert found_at(blob).kind == "gguf"
    make_model_folder(tmp_path / "folder")
    assert found_at(tmp_path / "folder").kind == "onnx"


def _found(registry) -> tuple[Found, ...]:
    from lsp_server.models.found import find_models

    return find_models(registry.machine).found
