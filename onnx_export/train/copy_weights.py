"""`python -m onnx_export.train.copy_weights MODEL --corpus CORPUS`: how far a finished model should copy.

It fits the weights of `engine.runtime.copy_mixture`, one for each length of a match, so that held-out text is most
probable. They are written to the model's notes, where the exporter reads them. A training run does the same at its end.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.errors import MidtokenError, TrainingError
from engine.runtime.copy_mixture import copier
from engine.text.vocabulary import load_vocabulary
from onnx_export.checkpoint import SOURCE_NAME
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.corpus import Document
from onnx_export.train.held_out import Scorer, held_out_windows, nats_of, torch_scorer
from onnx_export.train.tokenizer import control_ids

LONGEST = 4  # tokens; longer matches gained nothing on held-out text
WINDOWS = 80
_GRID = np.arange(0.0, 0.96, 0.01)


def fit_copy_weights(
    score: Scorer, tokenizer: Tokenizer, documents: Sequence[Document], window: int
) -> tuple[float, ...]:
    """The weights for matches of 1 to `LONGEST` tokens on evenly spaced windows; none if there is no text."""
    vocabulary = load_vocabulary(tokenizer.to_str())
    copies = copier((0.5,) * LONGEST, vocabulary)
    assert copies is not None
    windows = held_out_windows(tokenizer, documents, window)
    breaks = np.array([b"\n" in data for data in vocabulary.token_bytes])
    start = control_ids(tokenizer).end_of_text
    by_length: list[list[tuple[float, float]]] = [[] for _ in range(LONGEST)]
    for ids, _ in windows[:: max(1, len(windows) // WINDOWS)]:
        sequence = np.array([start, *ids], np.int32)
        logits = score(sequence[:-1].tolist())
        line = 0  # where the line begins: as in a document, only earlier lines are copied from
        for end in range(1, len(sequence)):
            line = end if breaks[sequence[end - 1]] else line
            found = copies.copied(sequence[:end], sequence[:line])
            if found is not None:
                target, row = [int(sequence[end])], logits[end - 1]
                pair = (row, copies.mix(row, found))
                model, half = (float(np.exp(-nats_of(each[np.newaxis], target))) for each in pair)
                by_length[found.length - 1].append((model, 2.0 * half - model))  # the weights were 0.5
    return tuple(_best(np.array(pairs)) for pairs in by_length) if windows else ()


def _best(pairs: NDArray[np.float64]) -> float:
    """The weight that makes the targets most probable; ``pairs``, ``[N, 2]``, are those by the model and by copying,
    which leaves to the model what must not be copied.
    """
    if not len(pairs):
        return 0.0
    likelihoods = [np.log((1.0 - weight) * pairs[:, 0] + weight * pairs[:, 1] + 1e-12).sum() for weight in _GRID]
    return round(float(_GRID[int(np.argmax(likelihoods))]), 2)


def main(arguments: list[str] | None = None) -> int:
    """Fit and write; returns the exit status: 0 done, 1 failed with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m onnx_export.train.copy_weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model folder of a finished run")
    parser.add_argument("--corpus", type=Path, help="as for the training run")
    options = parser.parse_args(arguments)
    try:
        print(f"copying: {list(_fit(options.model, options.corpus))}")
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _fit(folder: Path, corpus: Path | None) -> Iterable[float]:
    from transformers import AutoModelForCausalLM

    from onnx_export.train.corpus import read_corpus

    notes = folder / SOURCE_NAME
    try:
        raw = json.loads(notes.read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the tokenizers library raises plain Exception
        raise TrainingError(f"{folder} is not the model folder of a finished run ({error})") from error
    held_out = read_corpus(corpus).held_out
    if not held_out:
        raise TrainingError("the corpus has no held-out files to fit on: use a larger one")
    model = AutoModelForCausalLM.from_pretrained(folder)
    weights = fit_copy_weights(torch_scorer(model), tokenizer, held_out, model.config.max_position_embeddings)
    text = json.dumps(raw | {"copying": weights}, indent=2)

    def write(temporary: Path) -> None:
        temporary.write_text(text + "\n", encoding="utf-8")

    write_atomically(notes, write)
    return weights


if __name__ == "__main__":
    sys.exit(main())
