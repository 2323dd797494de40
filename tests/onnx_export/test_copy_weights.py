import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from onnx_export.train import copy_weights
from onnx_export.train.copy_weights import LONGEST, fit_copy_weights
from onnx_export.train.corpus import Document

AGAIN = "def one(alpha):\n    return alpha\n\n\n" * 30


def test_a_model_that_knows_nothing_copies_and_one_that_knows_all_does_not(tokenizer: Tokenizer):
    size = tokenizer.get_vocab_size()
    text = [Document("a.py", AGAIN)]
    ids = tokenizer.encode(AGAIN, add_special_tokens=False).ids

    def nothing(ids: Sequence[int]) -> NDArray[np.float32]:
        return np.zeros((len(ids), size), np.float32)

    def all_of_it(prompt: Sequence[int]) -> NDArray[np.float32]:
        return 40.0 * np.eye(size, dtype=np.float32)[ids[: len(prompt)]]

    weights = fit_copy_weights(nothing, tokenizer, text, len(ids))
    assert len(weights) == LONGEST
    assert weights[-1] > 0.9
    assert fit_copy_weights(all_of_it, tokenizer, text, len(ids)) == (0.0,) * LONGEST
    assert fit_copy_weights(nothing, tokenizer, [], 64) == ()


def test_text_that_never_repeats_is_not_copied(tokenizer: Tokenizer):
    def nothing(ids: Sequence[int]) -> NDArray[np.float32]:
        return np.zeros((len(ids), tokenizer.get_vocab_size()), np.float32)

    assert fit_copy_weights(nothing, tokenizer, [Document("a.py", "a")], 64) == (0.0,) * LONGEST


def test_the_command_writes_the_notes(
    checkpoint: Path, sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    before = json.loads((folder / "midtoken-source.json").read_text(encoding="utf-8"))
    assert copy_weights.main([str(folder), "--corpus", str(sources)]) == 0
    notes = json.loads((folder / "midtoken-source.json").read_text(encoding="utf-8"))
    assert capsys.readouterr().out == f"copying: {notes['copying']}\n"
    assert len(notes["copying"]) == LONGEST
    assert max(notes["copying"]) > 0.5, "the weights are random, and the text repeats itself"
    assert {name: value for name, value in notes.items() if name != "copying"} == {
        name: value for name, value in before.items() if name != "copying"
    }


@pytest.mark.parametrize(
    ("names", "says"),
    [(["a.py"], "the corpus has no held-out files"), ([], "is not the model folder of a finished run")],
)
def test_what_is_missing_is_told_in_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], says: str
):
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in names:
        (sources / name).write_text(AGAIN, encoding="utf-8")
    assert copy_weights.main([str(checkpoint if names else sources), "--corpus", str(sources)]) == 1
    assert says in capsys.readouterr().err
