"""GGUF files that cannot be converted, or change meanwhile: one line says why, and nothing is left behind."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import ExportError
from onnx_export.convert import convert, describe
from tests.onnx_export.gguf.files import WIDTH, random_tensors, write_model
from tests.onnx_export.opened_files import FULL_DISK, before_opening, full_disk


def test_a_source_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_model(path)
    size = path.stat().st_size

    def cut(done: float, _: str) -> None:
        if done > 0:
            with path.open("r+b") as stream:
                stream.truncate(size // 2)

    with pytest.raises(ExportError, match="changed while it was read"):
        convert(path, tmp_path / "out", progress=cut)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "architecture 'mamba', which is not supported; supported are: llama"),
        ({"fields": {"general.type": "adapter"}}, "no model but 'adapter'"),
        ({"fields": {"llama.expert_count": 8}}, "mixture of experts"),
        ({"fields": {"llama.attention.head_count": 3}}, "describes no model"),
        ({"fields": {"llama.block_count": 3}}, "has no tensor 'blk.2.attn_q.weight'"),
        ({"fields": {"llama.embedding_length": 128}}, "of shape"),
        ({"fields": {"llama.embedding_length": 32}}, "8 of 8 values are rotated: no kernel takes that.; take another"),
        ({"fields": {"llama.context_length": 0}}, "llama.context_length is 0"),
        ({"fields": {"llama.rope.scaling.type": "twisted"}}, "type 'twisted'"),
        ({"pre": "unheard-of"}, "rule 'unheard-of', which is not known"),
        ({"fields": {"split.count": 3}}, "one of 3 parts; join them first"),
        ({"tensors": {}}, "vocabulary without weights"),
        ({"fields": {"general.type": "mmproj"}}, "the part of a model that sees images"),
        ({"architecture": "clip", "fields": {"clip.has_vision_encoder": True}}, "the part of a model that sees images"),
        ({"architecture": "eagle3"}, "a draft for another model"),
        ({"fields": {"llama.nextn_predict_layers": 1}}, "guess several tokens ahead"),
        ({"fields": {"llama.attention.head_count": [4, 2]}}, "layers of different sizes .llama.attention.head_count"),
        ({"fields": {"llama.attention.head_count_kv": [2, 0]}}, "layers of different sizes"),
        ({"fields": {"llama.attention.head_count": 1 << 30}}, "describes no model"),
        ({"fields": {"llama.attention.key_length": 12}}, "describes no model"),
        ({"fields": {"llama.attention.key_length": 16, "llama.attention.value_length": 8}}, "describes no model"),
        ({"fields": {"llama.rope.dimension_count": 15}}, "describes no model"),
        ({"fields": {"llama.block_count": 513}}, "describes no model"),
        ({"fields": {"llama.rope.freq_base": math.nan}}, "llama.rope.freq_base is nan"),
        ({"fields": {"llama.attention.layer_norm_rms_epsilon": math.inf}}, "layer_norm_rms_epsilon is inf"),
        ({"fields": {"llama.attention.layer_norm_rms_epsilon": -1.0}}, "norms with -1 added"),
        ({"fields": {"tokenizer.ggml.eos_token_id": 5}}, "the end of a text, which is the ordinary entry"),
        ({"tensors": random_tensors(99)}, "entries but 99 rows of weights"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_model(tmp_path / "m.gguf", **changes)
    with pytest.raises(ExportError, match=message) as caught:
        convert(tmp_path / "m.gguf", tmp_path / "out")
    assert "\n" not in str(caught.value)
    found = describe(tmp_path / "m.gguf")
    assert not found.usable
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize("types", [("F32",), ("F16",), ("Q4_0",), ("Q8_0",)])
@pytest.mark.parametrize("name", ["blk.0.ffn_up.weight", "output_norm.weight"])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the package that writes the file
def test_weights_that_are_no_numbers(tmp_path: Path, name: str, types: tuple[str, ...]) -> None:
    tensors = write_model(tmp_path / "m.gguf")
    tensors[name].flat[7] = np.inf
    write_model(tmp_path / "m.gguf", tensors=tensors, types=types)
    with pytest.raises(ExportError, match=r"is infinite or no number, .*; fetch it again"):
        convert(tmp_path / "m.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize("name", ["blk.1.nextn.eh_proj.weight", "blk.1.nextn.shared_head_norm.weight"])
def test_layers_that_guess_ahead_are_refused_by_their_tensors_too(tmp_path: Path, name: str) -> None:
    tensors = write_model(tmp_path / "m.gguf")
    write_model(tmp_path / "m.gguf", tensors={**tensors, name: np.ones((WIDTH, WIDTH), np.float32)})
    with pytest.raises(ExportError, match=r"guess several tokens ahead \(MTP\)"):
        convert(tmp_path / "m.gguf", tmp_path / "out")


def test_a_source_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_model(path)

    def remove(done: float, _: str) -> None:
        if done > 0:
            path.unlink(missing_ok=True)

    with pytest.raises(ExportError, match="cannot be read any more") as caught:
        convert(path, tmp_path / "out", progress=remove)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_that_nobody_asks_for_is_refused(tmp_path: Path) -> None:
    tensors = write_model(tmp_path / "m.gguf")
    tensors["blk.0.ssm_in.weight"] = np.zeros((WIDTH, WIDTH), np.float32)
    write_model(tmp_path / "m.gguf", tensors=tensors)
    with pytest.raises(ExportError, match="ssm_in"):
        convert(tmp_path / "m.gguf", tmp_path / "out")


def test_another_file_in_its_place(tmp_path: Path) -> None:
    """As when a newer version of the model is fetched meanwhile: of the same sizes, with other weights."""
    path, out = tmp_path / "here" / "m.gguf", tmp_path / "here" / "out"
    path.parent.mkdir()
    write_model(path)
    write_model(tmp_path / "new.gguf", seed=1)
    new = tmp_path / "new.gguf"
    assert path.stat().st_size == new.stat().st_size
    with (
        before_opening(path.parent, 5, lambda: new.replace(path)),
        pytest.raises(ExportError, match="changed while it was read"),
    ):
        convert(path, out)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not FULL_DISK.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "midtoken.json"])
def test_a_disk_that_is_full_at_any_file(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "m.gguf")
    with full_disk(name), pytest.raises(ExportError, match=r"\(No space left on device\); make room") as caught:
        convert(tmp_path / "m.gguf", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
