"""A folder in optimum's naming, made with torch.onnx.export from a checkpoint, loaded by the engine as it is."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from engine import Completer, CompletionRequest
from engine.foreign import derive_manifest, find_foreign
from engine.graph import open_graph
from engine.session import OrtSession
from onnx_export.export import export_checkpoint
from tests.onnx_export.conftest import make_source
from tests.onnx_export.families import write_example

TEXTS = [make_source(seed) for seed in range(30)]


class WithPast(nn.Module):
    """The model with its own eager attention, its cache as flat tensors: past in, past and new positions out."""

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
        warnings.simplefilter("ignore")  # the exporter's own, about its dependencies
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


def test_a_folder_in_the_naming_of_optimum(tmp_path: Path):
    checkpoint = write_example(tmp_path / "checkpoint", "qwen2", TEXTS)
    folder = tmp_path / "published"
    model = export_with_past(checkpoint, folder / "onnx" / "model.onnx")
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / name, folder / name)

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

    # The same checkpoint exported by ourselves completes alike.
    export_checkpoint(checkpoint, tmp_path / "ours", precision="fp32")
    request = CompletionRequest("def alpha_beta(items, val", suffix="\n    return items\n")
    theirs, ours = (Completer.load(place, device="cpu", threads=1) for place in (folder, tmp_path / "ours"))
    assert theirs.info.fim_orders == ours.info.fim_orders == ("psm",)
    assert [c.text for c in theirs.complete(request).completions] == [
        c.text for c in ours.complete(request).completions
    ]
