import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from benchmarks import segmentation, small_models, vocabularies
from benchmarks.small_models import flops_per_token, held_out_cases, held_out_pieces
from onnx_export.train.corpus import Corpus
from onnx_export.train.model import build_model
from onnx_export.train.tokenizer import control_ids, train_tokenizer


def test_a_truncated_vocabulary_is_what_training_a_smaller_one_gives(corpus: Corpus, tokenizer: Tokenizer):
    smaller = train_tokenizer(corpus.train, 400)
    cut = vocabularies.truncated(tokenizer, 400)
    assert cut.get_vocab() == smaller.get_vocab()
    for document in corpus.held_out:
        assert cut.encode(document.text).ids == smaller.encode(document.text).ids


def test_dropout_writes_the_same_text_with_other_tokens(corpus: Corpus, tokenizer: Tokenizer):
    text = corpus.train[0].text
    noisy = segmentation.with_dropout(tokenizer, 0.1)
    runs = [noisy.encode(text, add_special_tokens=False).ids for _ in range(3)]
    assert len({tuple(run) for run in runs}) == 3
    assert all(noisy.decode(run, skip_special_tokens=False) == text for run in runs)
    assert tokenizer.encode(text).ids == tokenizer.encode(text).ids


def test_arithmetic_is_counted(tokenizer: Tokenizer):
    model = build_model("tiny", tokenizer.get_vocab_size(), control_ids(tokenizer), seed=1)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert flops_per_token(model) == 6 * parameters + 6 * 2 * 512 * 64


def test_cases_and_pieces_are_held_out_text(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(small_models, "PIECE_CHARACTERS", 1_000)
    texts = [document.text for document in corpus.held_out]
    assert all(any(text.startswith(piece.text) for text in texts) for piece in held_out_pieces(corpus))
    cases = held_out_cases(corpus, tmp_path, "identifier", 8)
    assert all(any(case.prefix + case.reference in text for text in texts) for case in cases)
    assert all(case.inside_identifier for case in cases)
    assert cases == held_out_cases(corpus, tmp_path, "identifier", 8)


@pytest.mark.slow
@pytest.mark.parametrize("module", [vocabularies, segmentation])
def test_the_commands(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module
):
    monkeypatch.setattr(small_models, "PIECE_CHARACTERS", 1_000)
    monkeypatch.setattr(small_models, "EVERY_NTH_FILE", 1)
    own = ["--sizes", "400", "500"] if module is vocabularies else ["--vocabulary", "500"]
    options = ["--corpus", str(sources), "--size", "tiny", "--flops", "6e9", "--cases", "4", *own]
    monkeypatch.setattr(sys, "argv", ["benchmark", str(tmp_path), *options])
    assert module.main() == 0
    first = capsys.readouterr().out
    rows = [line for line in first.splitlines() if line.startswith("| ")]
    assert len(rows) == {vocabularies: 5, segmentation: 9}[module]
    assert module.main() == 0  # from the training text
    assert "loss" not in capsys.readouterr().out


def test_too_little_held_out_text_is_one_clear_line(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    options = ["--corpus", str(sources), "--cases", "100000"]
    monkeypatch.setattr(sys, "argv", ["benchmark", str(tmp_path), *options])
    assert vocabularies.main() == 1
    assert capsys.readouterr().err.startswith("error: the held-out text has ")
