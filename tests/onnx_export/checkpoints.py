"""A made-up corpus, a small tokenizer trained on it, a tiny checkpoint with random weights. Nothing is downloaded."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from onnx_export.train.card import source_notes
from onnx_export.train.corpus import Corpus, Document, read_corpus
from onnx_export.train.model import build_model
from onnx_export.train.tokenizer import control_ids, train_tokenizer
from tests.onnx_export.source_text import make_source

FILES = 120
VOCABULARY = 640


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of source files."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(FILES):
        (folder / f"module_{number}.py").write_text(make_source(number), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus(sources: Path) -> Corpus:
    return read_corpus(sources)


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> Tokenizer:
    return train_tokenizer(corpus.train, VOCABULARY)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A tiny Llama with random weights, as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    write_checkpoint(folder, tokenizer, seed=1)
    return folder


def write_checkpoint(folder: Path, tokenizer: Tokenizer, seed: int) -> None:
    """Write random weights that are large enough for every layer to affect the logits."""
    import json

    model = build_model("tiny", tokenizer.get_vocab_size(), control_ids(tokenizer), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    text = Document("module.py", make_source(0), "python", "3", "PSF-2.0", "package")
    (folder / "midtoken-source.json").write_text(
        json.dumps(source_notes({"size": "tiny"}, Corpus((text,), ()))), encoding="utf-8"
    )
    (folder / "MODEL_CARD.md").write_text("# tiny\n", encoding="utf-8")
