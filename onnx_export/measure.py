"""`python -m onnx_export.measure FOLDER`: held-out figures of an exported model, through the engine's session.

Example: python -m onnx_export.measure engine/bundled
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.errors import MidtokenError, TrainingError
from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession
from onnx_export.train.corpus import Document, read_corpus
from onnx_export.train.held_out import bits_per_byte, nats_of, token_bytes
from onnx_export.train.samples import Cut, cut_piece, pieces, psm_parts, spm_parts
from onnx_export.train.tokenizer import control_ids, text_only

MIDDLES = 200
SEED = 5


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m onnx_export.measure", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path, help="folder of *.py files (default: Python's standard library)")
    parser.add_argument("--windows", type=int, help="an evenly spaced choice of this many windows (default: all)")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(measure(options.folder, options.corpus, options.windows), indent=2))
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(folder: Path, corpus: Path | None = None, max_windows: int | None = None) -> dict[str, Any]:
    """Bits per byte of held-out text, bits per byte of held-out middles by order, and decoding speed."""
    manifest = load_manifest(folder)
    session = OrtSession.load(folder, manifest)
    tokenizer = text_only(Tokenizer.from_file(str(folder / manifest.tokenizer_file)))
    documents = read_corpus(corpus).held_out
    if not documents:
        raise TrainingError("the corpus has no held-out files to measure on: use a larger one")

    def score(ids: Sequence[int]) -> NDArray[np.float32]:
        return session.forward(np.array(ids, np.int32), 0, range(len(ids)))

    figures: dict[str, Any] = {"precision": manifest.precision, "bytes": _bytes(folder)}
    window = min(1_024, manifest.context_length)
    figures["held_out_bits_per_byte"] = bits_per_byte(score, tokenizer, documents, window, max_windows)
    cuts = middles(documents)
    for order in ("psm", "spm"):
        figures[f"middle_bits_per_byte_{order}"] = middle_bits_per_byte(session, tokenizer, cuts, order)
    figures["decode_ms_per_token"] = decode_ms(session, start=control_ids(tokenizer).end_of_text)
    return figures


def middles(documents: Sequence[Document]) -> list[Cut]:
    """Held-out pieces, cut before a line break, where both orders have a token boundary; always the same pieces."""
    rng = np.random.default_rng(SEED)
    cuts = [cut_piece(piece, "before_break", rng) for document in documents for piece in pieces(document.text, rng)]
    usable = [cut for cut in cuts if cut.middle.strip() and cut.suffix]
    return usable[:: max(1, len(usable) // MIDDLES)][:MIDDLES]


def middle_bits_per_byte(
    session: OrtSession, tokenizer: Tokenizer, cuts: Sequence[Cut], order: Literal["psm", "spm"]
) -> float:
    """Bits per byte of the middles, the end token included, given prefix and suffix in this order."""
    ids = control_ids(tokenizer)
    nats, count = 0.0, 0
    for cut in cuts:
        parts = psm_parts(cut, ids) if order == "psm" else spm_parts(cut, ids)
        tokens = [ids.end_of_text]
        for part in parts:
            tokens.extend([part] if isinstance(part, int) else tokenizer.encode(part, add_special_tokens=False).ids)
        middle = len(tokenizer.encode(cut.middle, add_special_tokens=False).ids) + 1
        if len(tokens) > session.context_length:
            continue
        rows = range(len(tokens) - 1 - middle, len(tokens) - 1)
        logits = session.forward(np.array(tokens[:-1], np.int32), 0, rows)
        nats += nats_of(logits, tokens[-middle:])
        count += token_bytes(tokenizer, tokens[-middle:-1])
    return nats / math.log(2.0) / max(1, count)


def decode_ms(session: OrtSession, start: int, context: int = 300, steps: int = 60) -> float:
    """Median milliseconds of one decode step after `context` tokens."""
    session.forward(np.full(context, start, np.int32), 0, (0,))
    times = []
    for step in range(steps):
        began = time.perf_counter()
        session.forward(np.array([start], np.int32), context + step, (0,))
        times.append(time.perf_counter() - began)
    return round(float(np.median(times)) * 1e3, 3)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
