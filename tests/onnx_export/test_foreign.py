"""A foreign model with its own tokenizer and shape, trained further to fill in the middle."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine import Completer, CompletionRequest, StopParams
from engine.errors import ExportError, TrainingError
from engine.model_folder.manifest import ControlIds, load_manifest
from engine.runtime.session import OrtSession
from onnx_export.__main__ import main as export
from onnx_export.convert import convert
from onnx_export.train.__main__ import main as train_command
from onnx_export.train.corpus import Corpus
from onnx_export.train.finish import load_or_train_tokenizer
from onnx_export.train.foreign import EMBEDDING, HEAD, give_tokenizer, is_foreign, read_foreign, with_control_tokens
from onnx_export.train.loop import train
from onnx_export.train.tokenizer import CONTROL_TOKENS, control_ids
from tests.onnx_export.gguf.files import write_model
from tests.onnx_export.training_runs import SETTINGS as SHORT_RUN
from tests.onnx_export.training_runs import Interrupted, interrupt_at, silent
from tests.toy import byte_level, byte_level_json, every_byte, sentencepiece

FIELDS = {"llama.context_length": 512}
SETTINGS = replace(SHORT_RUN, size="small", window=128, steps=8, spm_share=1.0)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    write_model(tmp_path / "small.gguf", fields=FIELDS, tied=True)
    return tmp_path / "small.gguf"


def with_added(*spellings: str) -> str:
    """A tokenizer.json of single bytes and these control tokens, from id 256 on."""
    raw = json.loads(byte_level_json(every_byte(), []))
    flags = {key: value for key, value in raw["added_tokens"][0].items() if key not in ("id", "content")}
    raw["added_tokens"] = [{**flags, "id": 256 + n, "content": text} for n, text in enumerate(spellings)]
    return json.dumps(raw)


def ids_of(text: str) -> dict[str, int]:
    return {token["content"]: token["id"] for token in json.loads(text)["added_tokens"]}


def written_checkpoint(folder: Path, **changes: Any) -> Path:
    """A tiny Llama, tied or not, as a Hugging Face folder without fill-in-the-middle tokens."""
    text = with_added("</s>", "<issue_start>", "<file_sep>")
    config = LlamaConfig(
        vocab_size=264,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        max_position_embeddings=512,
        eos_token_id=256,
        bos_token_id=None,
        pad_token_id=None,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(raw | changes), encoding="utf-8")
    return folder


def test_control_tokens_are_respelled_taken_and_added() -> None:
    text = with_added("</s>", "<file_sep>", "<issue_start>", "<reserved>")
    made, fresh = with_control_tokens(text, ControlIds(None, (256,)), untrained=(258,))
    # The end and the file's token were known. An entry that was never trained is used first; one is added.
    assert ids_of(made) == {
        "<|endoftext|>": 256,
        "<|file_sep|>": 257,
        "<|fim_prefix|>": 258,
        "<|fim_suffix|>": 259,
        "<|fim_middle|>": 260,
    }
    assert fresh == (258, 259, 260)


def test_tokens_for_the_middle_keep_their_rows() -> None:
    text = with_added("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<file_sep>", "<repo_name>")
    made, fresh = with_control_tokens(text, ControlIds(None, (256,)), untrained=())
    assert fresh == ()
    ids = ids_of(made)
    assert [ids[spelling] for spelling in CONTROL_TOKENS] == [256, 257, 259, 258, 260]
    assert ids["<repo_name>"] == 261


def test_other_kinds_of_tokenizers_are_refused() -> None:
    with pytest.raises(TrainingError, match="byte-level BPE"):
        with_control_tokens(sentencepiece(), ControlIds(None, (0,)), untrained=())


@pytest.mark.parametrize("tied", [False, True])
def test_a_gguf_file_gives_the_logits_of_its_conversion(tmp_path: Path, tied: bool) -> None:
    write_model(tmp_path / "m.gguf", fields=FIELDS, tied=tied, types=("F16",))
    foreign = read_foreign(tmp_path / "m.gguf")
    model = foreign.build().eval()
    manifest = convert(tmp_path / "m.gguf", tmp_path / "out")
    session = OrtSession.load(tmp_path / "out", load_manifest(tmp_path / "out"), device="cpu")
    ids = np.array([72, 101, 108, 108, 111, 270, 17, 260], np.int32)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids.tolist()])).logits[0].numpy()
    known = manifest.vocabulary.tokenizer
    np.testing.assert_allclose(logits[:, :known], session.forward(ids, 0, range(len(ids))), atol=2e-3)
    assert (foreign.name, foreign.licence, foreign.config.tie_word_embeddings) == ("small", "apache-2.0", tied)


@pytest.mark.parametrize("tied", [False, True])
def test_rows_of_new_entries_begin_as_the_mean(tmp_path: Path, tied: bool) -> None:
    tensors = write_model(tmp_path / "m.gguf", fields=FIELDS, tied=tied)
    foreign = read_foreign(tmp_path / "m.gguf")
    rows = len(tensors["token_embd.weight"])
    assert foreign.fresh == (rows,)  # the toy has all except the file's token
    model = foreign.build()
    for name, own in ((EMBEDDING, "token_embd.weight"), (HEAD, "token_embd.weight" if tied else "output.weight")):
        matrix = model.state_dict()[name].numpy()
        words = tensors[own][: rows - 4]
        np.testing.assert_allclose(matrix[rows], words.mean(axis=0), atol=1e-6)
        np.testing.assert_array_equal(matrix[:rows], tensors[own])


def test_a_resumed_run_gives_the_same_numbers(tmp_path: Path, gguf: Path, corpus: Corpus) -> None:
    def run(out: Path, interrupt: int | None = None) -> Any:
        foreign = read_foreign(gguf)
        give_tokenizer(foreign, out)
        model = foreign.build()
        tokenizer = load_or_train_tokenizer(out, corpus, 1000)
        settings = replace(SETTINGS, size=foreign.name)
        return train(settings, model, tokenizer, corpus, out, interrupt_at(interrupt)), model

    straight, expected = run(tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(tmp_path / "resumed", 5)
    resumed, found = run(tmp_path / "resumed")
    assert resumed.losses == straight.losses
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["gguf", "checkpoint"])
def test_from_a_foreign_model_to_one_that_fills_in_the_middle(
    tmp_path: Path, gguf: Path, sources: Path, kind: str
) -> None:
    start = gguf if kind == "gguf" else written_checkpoint(tmp_path / "checkpoint")
    if kind == "checkpoint":
        (start / "LICENSE").write_text("all may", encoding="utf-8")
    out, options = tmp_path / "run", ["--steps", "16", "--batch", "2", "--plain-share", "0.3", "--order", "spm"]
    assert train_command(["--out", str(out), "--corpus", str(sources), "--start-from", str(start), *options]) == 0
    figures = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert figures["held_out_bits_per_byte"] < figures["held_out_bits_per_byte_before"] - 0.1
    assert figures["settings"]["spm_share"] == 1.0
    card = (out / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{figures['held_out_bits_per_byte_before']:.3f} bits a byte before" in card
    assert "30% of the samples" in card
    folder = tmp_path / "exported"
    assert (out / "model" / "LICENSE").exists() is (kind == "checkpoint")
    assert export([str(out / "model"), str(folder), "--precision", "fp32"]) == 0
    manifest = load_manifest(folder)
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    assert notice.index("trained further") < notice.index("written as an ONNX graph in fp32")
    assert (folder / "LICENSE").exists() is (kind == "checkpoint")
    assert manifest.fim is not None
    assert (manifest.fim.default, set(manifest.fim.templates)) == ("spm", {"spm"})
    completer = Completer.load(folder, device="cpu")
    request = CompletionRequest("import os\n\n\ndef f(se", suffix="\n    return 1\n", stop=StopParams(max_new_tokens=4))
    assert completer.complete(request).completions
    # The result can be trained further in its own shape, with all its control tokens.
    assert is_foreign(out / "model")
    assert read_foreign(out / "model").fresh == ()


def test_new_control_tokens_are_trained(tmp_path: Path, gguf: Path, corpus: Corpus) -> None:
    foreign = read_foreign(gguf)
    give_tokenizer(foreign, tmp_path)
    model = foreign.build()
    before = model.lm_head.weight[control_ids(load_or_train_tokenizer(tmp_path, corpus, 1000)).file_separator].clone()
    train(SETTINGS, model, load_or_train_tokenizer(tmp_path, corpus, 1000), corpus, tmp_path, silent)
    assert (model.lm_head.weight[foreign.fresh[0]] - before).abs().max() > 1e-3


def test_what_cannot_be_started_from_is_one_clear_line(tmp_path: Path, gguf: Path, capsys: Any) -> None:
    write_model(tmp_path / "qwen.gguf", architecture="qwen2", biases=True)
    stretched = FIELDS | {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    write_model(tmp_path / "rope.gguf", fields=stretched)
    for name, message in (("qwen.gguf", "is no Llama"), ("rope.gguf", "is no Llama with plain")):
        with pytest.raises(TrainingError, match=message):
            read_foreign(tmp_path / name)
    with pytest.raises(TrainingError, match="not a Llama"):
        read_foreign(written_checkpoint(tmp_path / "other", model_type="qwen2", architectures=["Qwen2ForCausalLM"]))
    with pytest.raises(ExportError):
        read_foreign(tmp_path / "missing.gguf")
    arguments = ["--out", str(tmp_path / "out"), "--start-from", str(gguf), "--plain-share", "2"]
    assert train_command(arguments) == 1
    assert "--plain-share is 2.0, not a share between 0 and 1" in capsys.readouterr().err


def test_a_folder_of_another_run_is_told(tmp_path: Path, gguf: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(byte_level(), encoding="utf-8")
    with pytest.raises(TrainingError, match="a run with another tokenizer"):
        give_tokenizer(read_foreign(gguf), tmp_path)


def test_our_own_models_are_not_foreign(tmp_path: Path, checkpoint: Path) -> None:
    assert not is_foreign(checkpoint)
    assert not is_foreign(tmp_path / "nowhere")
    assert is_foreign(written_checkpoint(tmp_path / "other"))
