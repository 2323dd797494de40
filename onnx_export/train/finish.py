"""The two ends of a run: the tokenizer at its start, the Hugging Face checkpoint folder and the figures at its end."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers.utils.logging import disable_progress_bar

from engine.errors import TrainingError, reason_of
from onnx_export.checkpoint import SOURCE_NAME
from onnx_export.papers import add_notice, copy_papers
from onnx_export.train.card import model_card, source_notes
from onnx_export.train.checkpoint import Progress, write_atomically
from onnx_export.train.copy_weights import fit_copy_weights
from onnx_export.train.corpus import Corpus, Document
from onnx_export.train.held_out import HELD_OUT_WINDOWS, bits_per_byte, token_bytes, torch_scorer
from onnx_export.train.origin import Origin
from onnx_export.train.plot import plot_losses
from onnx_export.train.tokenizer import text_only, train_tokenizer

MODEL_FOLDER = "model"


def load_or_train_tokenizer(out: Path, corpus: Corpus, vocabulary_size: int, split: str = "superword") -> Tokenizer:
    """The tokenizer saved in `out`, so that a resumed run keeps its ids, or a new one, saved there."""
    path = out / "tokenizer.json"
    if path.exists():
        try:
            return text_only(Tokenizer.from_file(str(path)))
        except Exception as error:  # the tokenizers library raises plain Exception
            raise TrainingError(f"{path} is damaged: delete {out} to start again") from error
    tokenizer = train_tokenizer(corpus.train, vocabulary_size, split)
    write_atomically(path, lambda temporary: _write_tokenizer(temporary, tokenizer))
    return tokenizer


def copy_tokenizer(run: Path, out: Path) -> None:
    """Give `out` the tokenizer of another run, unless it has one. Errors: TrainingError if there is none to give."""
    if (out / "tokenizer.json").exists():
        return
    try:
        content = (run / "tokenizer.json").read_bytes()
    except OSError as error:
        raise TrainingError(f"{run} is not the folder of a run: it has no tokenizer.json") from error

    def copy(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(out / "tokenizer.json", copy)


def finish(
    out: Path,
    model: Any,
    tokenizer: Tokenizer,
    corpus: Corpus,
    progress: Progress,
    settings: dict[str, Any],
    origin: Origin | None = None,
    source: Path | None = None,
) -> None:
    """Write `out/model/`, a Hugging Face checkpoint with its model card, then the figures and the loss curve.

    `origin` says which other maker's model it began with, `source` where that lies: the licence and the notices of a
    checkpoint are copied.

    Errors: TrainingError if something cannot be written; the folder of an earlier run then stays.
    """
    if not sys.stderr.isatty():
        disable_progress_bar()
    window = min(model.config.max_position_embeddings, settings.get("window", model.config.max_position_embeddings))
    windows = settings.get("held_out_windows", HELD_OUT_WINDOWS)
    figures = run_figures(model, tokenizer, corpus, progress, window, windows) | {"settings": settings}
    if origin is not None:
        figures |= {"started_from": origin.name, "held_out_bits_per_byte_before": origin.bits_before}
    copying = fit_copy_weights(torch_scorer(model), tokenizer, corpus.held_out, window)
    notes = source_notes(settings, corpus, origin) | {"copying": copying}
    folder, temporary = out / MODEL_FOLDER, out / (MODEL_FOLDER + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        if source is not None and source.is_dir():
            copy_papers(source, temporary)
        if origin is not None:
            add_notice(temporary, origin.name, "trained further to fill in the middle of code", origin.licence)
        model.to("cpu").save_pretrained(temporary, safe_serialization=True)
        _write_tokenizer(temporary / "tokenizer.json", tokenizer)
        _write_text(temporary / SOURCE_NAME, json.dumps(notes, indent=2))
        _write_text(temporary / "MODEL_CARD.md", model_card(figures, settings["size"], corpus, origin))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(f"cannot write {folder}: {reason_of(error)}; make room, then run again") from error
    text = json.dumps(figures, indent=2)
    write_atomically(out / "figures.json", lambda path: _write_text(path, text))
    if not plot_losses(progress, out / "loss.png"):
        print("no loss.png: matplotlib is not installed")
    print(text)


def run_figures(
    model: Any, tokenizer: Tokenizer, corpus: Corpus, progress: Progress, window: int, windows: int = HELD_OUT_WINDOWS
) -> dict[str, Any]:
    """What a model card must state: sizes in bytes and tokens, time in seconds, losses (of `window` tokens)."""
    figures: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": tokenizer.get_vocab_size(),
        "context_length": model.config.max_position_embeddings,
        "train_files": len(corpus.train),
        "train_bytes": _bytes(corpus.train),
        "held_out_files": len(corpus.held_out),
        "held_out_bytes": _bytes(corpus.held_out),
        "steps": progress.step,
        "tokens_seen": progress.tokens,
        "epochs": progress.epoch + 1,
        "training_s": round(progress.elapsed_s, 1),
        "bytes_per_token": round(_bytes_per_token(tokenizer, corpus.held_out or corpus.train[:50]), 3),
    }
    if corpus.held_out:
        score = torch_scorer(model)
        figures["held_out_bits_per_byte"] = bits_per_byte(score, tokenizer, corpus.held_out, window, windows)
    return figures


def _bytes(documents: Sequence[Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)


def _bytes_per_token(tokenizer: Tokenizer, documents: Sequence[Document]) -> float:
    encoded = [tokenizer.encode(document.text, add_special_tokens=False).ids for document in documents]
    return sum(token_bytes(tokenizer, ids) for ids in encoded) / max(1, sum(map(len, encoded)))


def _write_tokenizer(path: Path, tokenizer: Tokenizer) -> None:
    """Write it through Python's own files, whose errors say what is wrong; the library raises plain Exceptions."""
    path.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
