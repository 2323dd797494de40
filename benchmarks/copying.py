"""How well trained models copy from the text above, where the names of an unknown project are.

    python -m benchmarks.copying FOLDER MODEL [MODEL ...]

FOLDER holds Python files that no model was trained on; each MODEL is the `model` folder of a training run. If the last
tokens occurred before, the token that followed them the last time is a guess that needs no knowledge. The table shows,
by the number of such tokens, how often that guess is right, how often the model's first choice is right, and how many
nats the model pays for the true token.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks.arguments import parser_for
from benchmarks.small_models import table_head
from engine import DocumentError, MidtokenError

LONGEST = 4
PIECE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Guess:
    """At the position before ``target``: ``copied`` followed the last occurrence of the same ``length`` tokens."""

    position: int
    target: int
    copied: int
    length: int


def guesses(ids: Sequence[int]) -> Iterator[Guess]:
    """A guess for each position whose last token occurred before, by the longest match of up to `LONGEST` tokens."""
    followed: dict[tuple[int, ...], int] = {}
    for end in range(1, len(ids)):
        runs = [tuple(ids[end - length : end]) for length in range(1, min(LONGEST, end) + 1)]
        known = [run for run in runs if run in followed]
        if known:
            yield Guess(end - 1, ids[end], followed[known[-1]], len(known[-1]))
        followed.update((run, ids[end]) for run in runs)


def pieces_of(folder: Path, count: int) -> list[str]:
    """Evenly spread pieces of the Python files in a folder. Raises `DocumentError` if there are too few."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [text[at : at + PIECE_CHARACTERS] for at in range(0, len(text) - PIECE_CHARACTERS, PIECE_CHARACTERS)]
    if len(found) < count:
        raise DocumentError(f"{folder} has {len(found)} pieces of {PIECE_CHARACTERS} characters: lower --pieces")
    return found[:: len(found) // count][:count]


def table(model: Any, tokenizer: Tokenizer, pieces: Sequence[str]) -> str:
    """Bits per byte of the pieces and the table, in Markdown."""
    from onnx_export.train.held_out import nats_of, token_bytes, torch_scorer
    from onnx_export.train.tokenizer import control_ids

    score = torch_scorer(model)
    sums = np.zeros((LONGEST + 1, 4))  # by length: places, the copy is right, the model is right, nats
    total, size = 0.0, 0
    for piece in pieces:
        ids = [control_ids(tokenizer).end_of_text, *tokenizer.encode(piece, add_special_tokens=False).ids]
        ids = ids[: model.config.max_position_embeddings]
        logits = score(ids[:-1])
        nats = [nats_of(row[None], [target]) for row, target in zip(logits, ids[1:], strict=True)]
        total += sum(nats)
        size += token_bytes(tokenizer, ids[1:])
        for guess in guesses(ids):
            chosen = logits[guess.position].argmax() == guess.target
            sums[guess.length] += (1, guess.copied == guess.target, chosen, nats[guess.position])
    lines = [f"{total / np.log(2.0) / size:.3f} bits a byte", "", table_head(_HEAD)]
    for length, (count, copied, chosen, paid) in enumerate(sums):
        if count:
            name = f"{length} or more" if length == LONGEST else str(length)
            lines.append(f"| {name} | {count:.0f} | {copied / count:.1%} | {chosen / count:.1%} | {paid / count:.2f} |")
    return "\n".join(lines)


_HEAD = ("tokens seen before", "places", "the copy is right", "the model is right", "nats a token")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = parser_for(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--pieces", type=int, default=60)
    options = parser.parse_args(arguments)
    try:
        pieces = pieces_of(options.folder, options.pieces)
        for path in options.models:
            print(f"{path}: {table(*_load(path), pieces)}\n", flush=True)
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _load(path: Path) -> tuple[Any, Tokenizer]:
    from transformers import AutoModelForCausalLM

    tokenizer = path / "tokenizer.json"
    if not tokenizer.exists():
        raise DocumentError(f"{path} is not the model folder of a training run: it has no tokenizer.json")
    return AutoModelForCausalLM.from_pretrained(path), Tokenizer.from_file(str(tokenizer))


if __name__ == "__main__":
    sys.exit(main())
