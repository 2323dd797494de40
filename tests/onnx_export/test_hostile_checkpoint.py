"""A checkpoint may come from anybody. Wrong content leads to one line, before anything large is made."""

import json
import os
import shutil
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ExportError
from onnx_export.checkpoint import read_checkpoint
from onnx_export.export import export_checkpoint
from onnx_export.weights import tensor_places


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    """A checkpoint folder that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, match: str) -> None:
    started = time.thread_time()
    with pytest.raises(ExportError, match=match) as caught:
        export_checkpoint(folder, folder.parent / "out")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert time.thread_time() - started < 10
    assert not (folder.parent / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": 10**7}, "num_hidden_layers is 10000000; it must be a whole number from 1 to 1024"),
        ({"num_hidden_layers": 7}, "there are 7 layers, and the weights have"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers is '2'"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"hidden_size": 10**400}, "hidden_size is 1000"),
        ({"hidden_size": [64]}, "hidden_size is "),
        ({"intermediate_size": 1e9}, "intermediate_size is 1000000000.0"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_key_value_heads": {}}, "num_key_value_heads is {}"),
        ({"head_dim": 10**6}, "head_dim is 1000000"),
        ({"max_position_embeddings": 1 << 60}, "max_position_embeddings is "),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"rope_parameters": "fast"}, "rope_parameters is 'fast'"),
        ({"architectures": {"LlamaForCausalLM": 1}}, "only causal language models"),
        ({"eos_token_id": {"a": 1}}, "."),
        ({"eos_token_id": [[1]]}, "."),
        ({"model_type": ["llama"]}, "cannot be exported"),
    ],
    ids=str,
)
def test_sizes_that_no_model_has(copy: Path, changes: dict[str, Any], says: str):
    edit(copy / "config.json", **changes)
    refused(copy, says)


def with_header(path: Path, header: object, data: bytes = bytes(64), length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]} | changes}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"[" * 100_000, "recursion|nested|JSON|Expecting"),
        (b'{"a":' * 50_000, "recursion|nested|Expecting"),
        ([], "no object"),
        ({"w": 3}, "."),
        ({"w": {"dtype": "F32"}}, "'data_offsets' is missing"),
        (tensor(shape="44"), "shape must be whole numbers"),
        (tensor(shape=[4.0, 4]), "shape must be whole numbers"),
        (tensor(shape=[-4, -4]), "shape must be whole numbers"),
        (tensor(shape=[True] * 4), "shape must be whole numbers"),
        (tensor(shape=[1 << 60]), "shape must be whole numbers"),
        (tensor(shape=[1] * 9), "too many axes"),
        (tensor(shape=[1 << 40, 1 << 40]), "another size than its bytes"),
        (tensor(shape=[4, 5]), "another size than its bytes"),
        (tensor(data_offsets=[0, 1 << 40]), "cut off"),
        (tensor(data_offsets=[64, 0]), "ends before it begins"),
        (tensor(data_offsets=[-8, 56]), "data_offsets must be whole numbers"),
        (tensor(data_offsets=["0", "64"]), "data_offsets must be whole numbers"),
        (tensor(data_offsets=[0, 1, 2]), "."),
        (tensor(data_offsets=None), "."),
        (tensor(dtype=3), "no type"),
        ({**tensor(), "v": tensor()["w"]}, "lie in each other"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_headers_that_lie(tmp_path: Path, header: object, says: str):
    with_header(tmp_path / "model.safetensors", header)
    with pytest.raises(ExportError, match=f"cannot be read as safetensors .*({says})") as caught:
        tensor_places(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_good_header_made_the_same_way(tmp_path: Path):
    with_header(tmp_path / "model.safetensors", {"__metadata__": {"a": "b"}, **tensor()})
    assert tensor_places(tmp_path)["w"].shape == (4, 4)


@pytest.mark.parametrize("length", [1 << 62, 17 << 20])
def test_a_header_that_says_it_is_long_is_not_read(tmp_path: Path, length: int):
    with_header(tmp_path / "model.safetensors", tensor(), length=length)
    with pytest.raises(ExportError, match="its header is too long"):
        tensor_places(tmp_path)


def test_a_tensor_in_two_files(tmp_path: Path):
    for name in ("a", "b"):
        with_header(tmp_path / f"{name}.safetensors", tensor())
    with pytest.raises(ExportError, match="'w' stands in two files"):
        tensor_places(tmp_path)


PAPERS = ["LICENSE", "License[1].txt", "NOTICE", "README.md", "MODEL_CARD.md"]


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors", *PAPERS])
def test_a_link_out_of_the_checkpoint(copy: Path, name: str):
    outside = copy.parent / "secret"
    outside.write_bytes((copy / name).read_bytes() if (copy / name).exists() else b"secret")
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(outside)
    refused(copy, "lies outside .*; do not use this folder")


def test_a_download_cache_of_links_is_exported_as_it_is(copy: Path, tmp_path: Path):
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "1f", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(copy.iterdir())):
        file.rename(blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert read_checkpoint(snapshot).family.model_type == "llama"
    (tmp_path / "secret").write_text("secret")
    (snapshot / "LICENSE").unlink(missing_ok=True)
    (snapshot / "LICENSE").symlink_to(tmp_path / "secret")
    refused(snapshot, "lies outside")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "generation_config.json", "more.safetensors"])
def test_a_pipe_is_not_opened(copy: Path, name: str):
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    refused(copy, "not a regular file")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_what_is_too_long_is_not_read(copy: Path, name: str):
    with (copy / name).open("ab") as stream:
        stream.truncate(1 << 40)  # sparse: it takes no space on the disk
    refused(copy, "are read; do not use this folder")


def test_an_adapter_beside_a_model(copy: Path):
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "another/one"}')
    refused(copy, "holds an adapter")


@pytest.mark.parametrize("vocab", [[], 3, {"a": "b"}, {"a": None}, [["a"]], {}])
def test_a_vocabulary_that_is_none(copy: Path, vocab: object):
    raw = json.loads((copy / "tokenizer.json").read_text())
    raw["model"]["vocab"], raw["added_tokens"] = vocab, []
    (copy / "tokenizer.json").write_text(json.dumps(raw))
    refused(copy, ".")
