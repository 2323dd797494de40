"""Every row of the table, exported and validated on a small random checkpoint: only what is tested is supported."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest

from engine import Completer, CompletionRequest
from engine.errors import ExportError
from engine.model_folder.manifest import Manifest, Precision, load_manifest
from onnx_export.architectures import FAMILIES, builder_of
from onnx_export.export import export_checkpoint
from tests.onnx_export.families import EXAMPLES, VARIANTS, write_example
from tests.onnx_export.source_text import make_source

pytestmark = pytest.mark.slow

TEXTS = [make_source(seed) for seed in range(30)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    """Model folders at fp32 by example, each beside its checkpoint, made and validated once."""
    root = tmp_path_factory.mktemp("families")

    def get(name: str) -> Path:
        out = root / name / "model"
        if not out.exists():
            checkpoint = write_example(root / name / "checkpoint", name, TEXTS)
            export_checkpoint(checkpoint, out, precision="fp32")
        return out

    return get


def test_every_family_has_an_example():
    assert EXAMPLES.keys() == FAMILIES.keys()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_checkpoint_of_the_family_passes_every_check(exported, name: str):
    # export_checkpoint validates: logits, cache, rewinding, batches, greedy text.
    manifest = load_manifest(exported(name))
    assert manifest.architecture == FAMILIES[name].architecture
    assert manifest.context_length == 192
    assert manifest.key_value.shared
    assert manifest.key_value.layers == 2


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_that_the_model_builder_gets_wrong_passes_every_check(exported, name: str):
    operators = [node.op_type for node in onnx.load(str(exported(name) / "model.onnx")).graph.node]
    assert operators.count("GroupQueryAttention") == 2


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_change_with_the_length_are_refused(kind: str):
    with pytest.raises(ExportError, match=f"type '{kind}' change with the length"):
        builder_of(FAMILIES["llama"], {"rope_scaling": {"type": kind}}, "cuda")


@pytest.mark.parametrize("name", ["gemma2", "gemma3_text"])
def test_what_has_no_builder_for_cuda_is_refused(name: str):
    assert builder_of(FAMILIES[name], {}) == "writer"
    with pytest.raises(ExportError, match="for the CPU only"):
        builder_of(FAMILIES[name], {}, "cuda")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_family_completes_text(exported, name: str):
    completer = Completer.load(exported(name), device="cpu", threads=1)
    result = completer.complete(CompletionRequest(prefix="def alpha_beta(items, val", suffix="\n    return items\n"))
    assert result.prompt_tokens > 3


def large_tensors(folder: Path, manifest: Manifest) -> list[str]:
    """Names of the stored matrices that have one row for each entry of the vocabulary."""
    graph = onnx.load(str(folder / manifest.model_file)).graph
    rows = manifest.vocabulary.head
    return [t.name for t in graph.initializer if rows in t.dims and np.prod(t.dims) > 4 * rows]


@pytest.mark.parametrize("name", ["qwen2", "gemma", "gpt2", "starcoder2"])
def test_a_tied_embedding_is_stored_once(exported, name: str):
    folder = exported(name)
    manifest = load_manifest(folder)
    assert manifest.vocabulary.tied is True
    assert len(large_tensors(folder, manifest)) == 1


def test_an_embedding_of_its_own_is_stored_beside_the_head(exported):
    folder = exported("llama")
    manifest = load_manifest(folder)
    assert manifest.vocabulary.tied is False
    assert len(large_tensors(folder, manifest)) == 2


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", ["starcoder2", "codegen"])
def test_graphs_of_torch_are_quantised(exported, tmp_path: Path, name: str, precision):
    whole = exported(name)
    checkpoint = whole.with_name("checkpoint")
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision=precision)
    assert manifest.precision == precision
    operators = [node.op_type for node in onnx.load(str(tmp_path / "out" / "model.onnx")).graph.node]
    assert operators.count("MatMul") == 0
    assert operators.count("MatMulNBits") >= 9
    assert operators.count("GatherBlockQuantized") == 1
    assert len(large_tensors(tmp_path / "out", manifest)) <= 4  # weights and scales, of one or two tables


def test_a_float16_model_of_codegen_opens_on_the_cpu(exported, tmp_path: Path):
    # At its highest level of optimisation onnxruntime 1.31 does not refuse it but crashes.
    checkpoint = exported("codegen").with_name("checkpoint")
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision="fp16", device="cuda")
    assert manifest.key_value.dtype == "float16"
    assert Completer.load(tmp_path / "out", device="cpu").info.precision == "fp16"


ALL_PRECISIONS = "MIDTOKEN_TEST_ALL_PRECISIONS"


@pytest.mark.skipif(ALL_PRECISIONS not in os.environ, reason=f"minutes; with {ALL_PRECISIONS}=1 it runs")
@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
@pytest.mark.parametrize("name", sorted({**EXAMPLES, **VARIANTS}))
def test_every_family_passes_every_check_at_every_precision(tmp_path: Path, name: str, precision: Precision):
    if precision == "fp16" and name in FAMILIES and FAMILIES[name].builder is None:
        pytest.skip("this family is exported for the CPU only")
    checkpoint = write_example(tmp_path / "checkpoint", name, TEXTS)
    device: Literal["cpu", "cuda"] = "cuda" if precision == "fp16" else "cpu"
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision=precision, device=device)
    assert manifest.precision == precision
    assert manifest.key_value.dtype == ("float16" if precision == "fp16" else "float32")


def test_rows_beyond_the_tokenizer_are_never_chosen(exported):
    manifest = load_manifest(exported("qwen2"))
    assert manifest.vocabulary.head == manifest.vocabulary.tokenizer + 32
    completer = Completer.load(exported("qwen2"), device="cpu", threads=1)
    completer.complete(CompletionRequest(prefix="alpha = beta\n"))  # an id without bytes would raise IndexError
