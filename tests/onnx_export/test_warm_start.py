from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train.corpus import Corpus, Document
from onnx_export.train.model import build_model
from onnx_export.train.tokenizer import control_ids, train_tokenizer
from onnx_export.train.warm_start import carried_rows, warm_start


@pytest.fixture(scope="module")
def ordinary(corpus: Corpus) -> Tokenizer:
    return train_tokenizer(corpus.train, 500, split="ordinary")


def test_layers_are_taken_and_rows_carried(checkpoint: Path, tokenizer: Tokenizer, ordinary: Tokenizer):
    old = build_model("tiny", tokenizer.get_vocab_size(), control_ids(tokenizer), seed=5)
    warm_start(old, tokenizer, checkpoint)  # the same tokenizer: the same model
    new = build_model("tiny", ordinary.get_vocab_size(), control_ids(ordinary), seed=6)
    warm_start(new, ordinary, checkpoint)
    torch.testing.assert_close(new.model.layers[1].mlp.up_proj.weight, old.model.layers[1].mlp.up_proj.weight)
    assert new.lm_head.weight is new.model.embed_tokens.weight
    shared = sorted(tokenizer.get_vocab().keys() & ordinary.get_vocab().keys())
    assert "<|fim_middle|>" in shared
    before, after = ([some.get_vocab()[spelling] for spelling in shared] for some in (tokenizer, ordinary))
    assert torch.equal(new.lm_head.weight[after], old.lm_head.weight[before])


def test_an_entry_that_is_new_is_the_mean_of_its_pieces(tokenizer: Tokenizer, ordinary: Tokenizer):
    rows = torch.randn(tokenizer.get_vocab_size(), 4, generator=torch.Generator().manual_seed(1))
    carried = carried_rows(rows, tokenizer, ordinary)
    fresh = [spelling for spelling in ordinary.get_vocab() if spelling not in tokenizer.get_vocab()]
    assert fresh
    for spelling in fresh:
        number = ordinary.get_vocab()[spelling]
        pieces = tokenizer.encode(ordinary.decode([number]), add_special_tokens=False).ids
        torch.testing.assert_close(carried[number], rows[pieces].mean(dim=0))


def test_part_of_a_character_is_the_mean_of_its_bytes():
    euros = train_tokenizer([Document("a.py", "€" * 100 + "\n")], 700)
    none = train_tokenizer([Document("a.py", "a\n" * 100)], 300)
    half = next(spelling for spelling in euros.get_vocab() if len(spelling) == 2 and spelling[0] == "â")
    rows = torch.randn(none.get_vocab_size(), 4, generator=torch.Generator().manual_seed(1))
    carried = carried_rows(rows, none, euros)
    expected = rows[[none.get_vocab()[character] for character in half]].mean(dim=0)
    torch.testing.assert_close(carried[euros.get_vocab()[half]], expected)


@pytest.mark.parametrize("what", ["no folder", "weights", "tokenizer", "size"])
def test_what_is_no_such_model_is_one_clear_line(tmp_path: Path, checkpoint: Path, tokenizer: Tokenizer, what: str):
    folder = tmp_path / "model"
    if what != "no folder":
        folder.mkdir()
        weights = (checkpoint / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(b"hello" if what == "weights" else weights)
        text = (checkpoint / "tokenizer.json").read_text(encoding="utf-8")
        (folder / "tokenizer.json").write_text("{" if what == "tokenizer" else text, encoding="utf-8")
    size = "small" if what == "size" else "tiny"
    model = build_model(size, tokenizer.get_vocab_size(), control_ids(tokenizer), seed=5)
    with pytest.raises(TrainingError) as caught:
        warm_start(model, tokenizer, folder)
    assert "\n" not in str(caught.value)
