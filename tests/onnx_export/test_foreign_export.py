"""Folders of other exporters, loaded by the engine as they are: with optimum's names, made with torch.onnx.export,
plain and quantised as for the web, and from onnxruntime-genai's own builder.
"""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from engine import Completer, CompletionRequest
from engine.model_folder.foreign import derive_manifest, find_foreign
from engine.model_folder.manifest import Precision
from engine.runtime.graph import open_graph
from engine.runtime.session import OrtSession
from onnx_export.export import export_checkpoint
from onnx_export.genai_graph import build
from onnx_export.quantize import plan
from onnx_export.validate import mean_error
from tests.onnx_export.families import write_example
from tests.onnx_export.source_text import make_source

TEXTS = [make_source(seed) for seed in range(30)]


class WithPast(nn.Module):
    """The model with its own eager attention and its cache as flat tensors: past in, past and new positions out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, ...]:
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=DynamicCache(past),
            use_cache=True,
        )
        layers = outputs.past_key_values.layers
        return (outputs.logits, *(tensor for layer in layers for tensor in (layer.keys, layer.values)))


def export_with_past(checkpoint: Path, path: Path) -> Any:
    """Write ``path`` with the names that optimum gives; returns the model in torch."""
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager").eval()
    config = model.config
    size = config.hidden_size // config.num_attention_heads
    past = [tuple(torch.randn(1, config.num_key_value_heads, 4, size) for _ in range(2)) for _ in range(2)]
    varies = torch.export.Dim.DYNAMIC
    parts = [f"{layer}.{part}" for layer in range(2) for part in ("key", "value")]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own warning about its dependencies
        program = torch.onnx.export(
            WithPast(model).eval(),
            (torch.ones(1, 3, dtype=torch.long), torch.ones(1, 7, dtype=torch.long), torch.arange(4, 7)[None], past),
            dynamo=True,
            input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{p}" for p in parts)],
            output_names=["logits", *(f"present.{part}" for part in parts)],
            dynamic_shapes=({1: varies}, {1: varies}, {1: varies}, [({2: varies}, {2: varies})] * 2),
            verbose=False,
        )
    assert program is not None
    path.parent.mkdir(parents=True)
    program.save(str(path))
    return model


def published(tmp_path: Path) -> tuple[Path, Path, Any]:
    """A checkpoint, the folder that was exported from it with optimum's names, and its model in torch."""
    checkpoint = write_example(tmp_path / "checkpoint", "qwen2", TEXTS)
    folder = tmp_path / "published"
    model = export_with_past(checkpoint, folder / "onnx" / "model.onnx")
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    return checkpoint, folder, model


def test_a_folder_in_the_naming_of_optimum(tmp_path: Path):
    checkpoint, folder, model = published(tmp_path)

    found = find_foreign(folder)
    assert found is not None
    graph = open_graph(folder / "onnx" / "model.onnx", "cpu")
    session = OrtSession.over(graph, derive_manifest(found, graph.signature))
    ids = np.arange(5, 25, dtype=np.int32)
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor(ids[None].astype(np.int64))).logits[0].numpy()
    np.testing.assert_allclose(session.forward(ids, 0, range(20)), expected, atol=2e-5)
    session.forward(ids[::-1].copy(), 8, ())  # another end, then back
    np.testing.assert_allclose(session.forward(ids[8:], 8, range(12)), expected[8:], atol=2e-5)

    # Our own export of the same checkpoint gives the same completions.
    export_checkpoint(checkpoint, tmp_path / "ours", precision="fp32")
    request = CompletionRequest("def alpha_beta(items, val", suffix="\n    return items\n")
    theirs, ours = (Completer.load(place, device="cpu", threads=1) for place in (folder, tmp_path / "ours"))
    assert theirs.info.fim_orders == ours.info.fim_orders == ("psm",)
    assert [c.text for c in theirs.complete(request).completions] == [
        c.text for c in ours.complete(request).completions
    ]


def test_a_folder_quantised_for_the_web(tmp_path: Path):
    _, folder, model = published(tmp_path)
    quantiser = MatMulNBitsQuantizer(onnx.load(str(folder / "onnx" / "model.onnx")), bits=4, block_size=32)
    quantiser.process()
    quantiser.model.save_model_to_file(str(folder / "onnx" / "model_q4.onnx"))

    completer = Completer.load(folder, device="cpu", threads=1)
    assert completer.manifest.model_file == "onnx/model_q4.onnx"
    assert (completer.info.precision, completer.manifest.graph.position_ids) == ("int4", "position_ids")
    session = OrtSession.over(open_graph(folder / completer.manifest.model_file, "cpu"), completer.manifest)
    ids = np.arange(5, 25, dtype=np.int32)
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor(ids[None].astype(np.int64))).logits[0].numpy()
    assert mean_error(session.forward(ids, 0, range(20)), expected) < 0.5
    assert completer.complete(CompletionRequest("def alpha_beta(items, val")).prompt_tokens > 3


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_a_folder_of_the_genai_builder(tmp_path: Path, precision: Precision):
    checkpoint = write_example(tmp_path / "checkpoint", "qwen2", TEXTS)
    (checkpoint / "tokenizer_config.json").write_text('{"add_bos_token": false}')  # as Qwen's
    build(checkpoint, plan(precision, "cpu"), tmp_path / "theirs", tied=True)
    export_checkpoint(checkpoint, tmp_path / "ours", precision=precision, check=False)
    theirs, ours = (Completer.load(tmp_path / name, device="cpu", threads=1) for name in ("theirs", "ours"))
    assert theirs.manifest.key_value == ours.manifest.key_value  # one buffer for past and present
    assert theirs.manifest.control == ours.manifest.control
    assert theirs.manifest.fim == ours.manifest.fim
    request = CompletionRequest("def alpha_beta(items, val", suffix="\n    return items\n")
    texts = [[c.text for c in completer.complete(request).completions] for completer in (theirs, ours)]
    assert precision != "fp32" or texts[0] == texts[1]  # at int4 only ours looks embeddings up in the quantised head
