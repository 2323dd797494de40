"""A foreign model with fewer layers and entries."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train.__main__ import main as train_command
from onnx_export.train.corpus import Corpus, Document
from onnx_export.train.foreign import EMBEDDING, Foreign, read_foreign
from onnx_export.train.reducing import layer_changes, with_fewer_entries, with_fewer_layers
from onnx_export.train.tokenizer import CONTROL_TOKENS, control_ids
from tests.onnx_export.gguf.files import write_model

FIELDS = {"llama.context_length": 512}


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    write_model(tmp_path / "small.gguf", fields=FIELDS, tied=True)
    return tmp_path / "small.gguf"


@pytest.fixture
def foreign(gguf: Path) -> Foreign:
    return read_foreign(gguf)


def logits(foreign: Foreign, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = foreign.build().eval()(input_ids=torch.tensor([ids])).logits[0]
    return result


@pytest.mark.parametrize("idle", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_the_layers_that_change_least_are_dropped(foreign: Foreign, corpus: Corpus, idle: tuple[int, ...]) -> None:
    model = _with_layers(foreign, 4, idle)
    changes = layer_changes(model, corpus.train)
    assert changes.shape == (3,)
    assert [layer for layer in range(3) if changes[layer] < 1e-6] == list(idle)
    fewer = with_fewer_layers(model, corpus.train, 4 - len(idle))
    assert fewer.config.num_hidden_layers == 4 - len(idle)
    torch.testing.assert_close(logits(fewer, [70, 80, 90]), logits(model, [70, 80, 90]))


def test_the_last_layer_stays_whatever_it_changes(foreign: Foreign, corpus: Corpus) -> None:
    model = _with_layers(foreign, 3, (2,))
    fewer = with_fewer_layers(model, corpus.train, 2)
    for name, values in model.state.items():
        if name.startswith("model.layers.2."):
            torch.testing.assert_close(fewer.state[name.replace("layers.2", "layers.1")], values)


def test_all_layers_are_the_model_as_it_is(foreign: Foreign) -> None:
    assert with_fewer_layers(foreign, [], 2) is foreign


def _with_layers(foreign: Foreign, layers: int, idle: tuple[int, ...]) -> Foreign:
    """The model with copies of its first layer, each scaled in its own way; those of ``idle`` add nothing."""
    state = dict(foreign.state)
    for layer in range(2, layers):
        for name, values in foreign.state.items():
            if name.startswith("model.layers.0."):
                state[name.replace("layers.0", f"layers.{layer}")] = values * (layer + 1)
    for layer in idle:
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            state[f"model.layers.{layer}.{name}.weight"] = torch.zeros_like(state[f"model.layers.0.{name}.weight"])
    values = foreign.config.to_dict() | {"num_hidden_layers": layers}
    values.pop("layer_types", None)
    return Foreign(
        foreign.name,
        foreign.licence,
        type(foreign.config)(**values),
        foreign.tokenizer,
        foreign.fresh,
        state,
    )


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_a_number_of_layers_that_it_has_not_is_one_clear_line(foreign: Foreign, layers: int) -> None:
    with pytest.raises(TrainingError, match=rf"--layers is {layers}, but small has 2: give a number from 2 to 2"):
        with_fewer_layers(foreign, [], layers)


def test_a_text_of_kept_entries_has_the_same_logits(foreign: Foreign, corpus: Corpus) -> None:
    whole = Tokenizer.from_str(foreign.tokenizer)
    documents = [Document("a.py", document.text) for document in corpus.train[:4]]
    cut = with_fewer_entries(foreign, documents, whole.get_vocab_size() - 3)
    tokenizer = Tokenizer.from_str(cut.tokenizer)
    assert tokenizer.get_vocab_size() == len(cut.state[EMBEDDING]) == cut.config.vocab_size < whole.get_vocab_size()
    assert control_ids(tokenizer).end_of_text == cut.config.eos_token_id
    text = documents[0].text[:60]
    before, after = (one.encode(text, add_special_tokens=False) for one in (whole, tokenizer))
    assert before.tokens == after.tokens
    names = [whole.id_to_token(number) or "" for number in range(whole.get_vocab_size())]
    new = [tokenizer.token_to_id(name) for name in names]
    columns = [(old, number) for old, number in enumerate(new) if number is not None]
    expected = logits(foreign, before.ids)[:, [old for old, _ in columns]]
    torch.testing.assert_close(logits(cut, after.ids)[:, [number for _, number in columns]], expected)
    spellings = {tokenizer.id_to_token(token) for token in cut.fresh}
    assert spellings == {whole.id_to_token(token) for token in foreign.fresh} <= set(CONTROL_TOKENS)


def test_too_few_entries_are_one_clear_line(foreign: Foreign, corpus: Corpus) -> None:
    with pytest.raises(TrainingError, match=r"--entries: 10 entries are too few: .* ask for more"):
        with_fewer_entries(foreign, corpus.train, 10)


def test_a_smaller_model_is_trained(tmp_path: Path, gguf: Path, sources: Path, capsys: Any) -> None:
    size = Tokenizer.from_str(read_foreign(gguf).tokenizer).get_vocab_size()
    out = tmp_path / "run"
    arguments = ["--out", str(out), "--corpus", str(sources), "--start-from", str(gguf), "--batch", "1"]
    smaller = ["--entries", str(size - 3), "--layers", "2", "--steps", "2", "--held-out-windows", "2"]
    assert train_command([*arguments, *smaller]) == 0
    config = json.loads((out / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 2
    assert config["vocab_size"] < size
    assert train_command([*arguments, *smaller[2:]]) == 1
    assert "a run with another tokenizer" in capsys.readouterr().err


def test_reducing_needs_a_model_of_others(tmp_path: Path, capsys: Any) -> None:
    assert train_command(["--out", str(tmp_path), "--layers", "2", "--steps", "1"]) == 1
    assert capsys.readouterr().err.startswith("error: --layers and --entries are for another maker's model")
