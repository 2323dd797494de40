"""Compares our conversion of a GGUF file with llama.cpp on that file: the distributions, and the tokens a second.

    python -m benchmarks.llama_agreement FILE.gguf FOLDER FILES... [--float FOLDER32] [--tokens 2000] [--speed]

FOLDER is FILE.gguf converted by ``midtoken export``, FOLDER32 the same with ``--precision fp32``. FOLDER32 has the
weights as floats and rounds no activation, so it shows how far both programs are from what the file means. FILES are
real text; an equal part of each is read in windows of 500 tokens. All logits of both are compared (KL divergence in
nats). ``--speed`` reads 512 tokens and writes 32, in turn with llama.cpp, on the same number of threads. On a busy
machine use ``--threads 1``: the threads of llama.cpp spin while they wait for each other, so with fewer cores than
threads almost nothing gets done. Needs ``xllamacpp``.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import parser_for
from benchmarks.llama_library import LlamaModel
from benchmarks.tables import Ratio, Report, Table, as_json, as_text, interleave, machine, median, median_ratio
from engine import DocumentError, MidtokenError
from engine.loading import load_tokenizer
from engine.model_folder.manifest import load_manifest
from engine.runtime.model_session import ModelSession
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import PREFILL_CHUNK
from engine.text.tokenizer import Tokenizer
from engine.types import FloatArray
from lsp_server.commands.progress import progress_bar

WINDOW = 500
READ, WRITTEN, ROUNDS = 512, 32, 9
OURS, PEER, FLOAT = "midtoken", "llama.cpp", "float32"
_ROWS = 32
MOST_KL, LEAST_SAME = 0.002, 0.995
LEAST_SPEED_UP = 1.5
Forward = Callable[[Sequence[int]], FloatArray]
Figures = dict[str, dict[str, list[float]]]
"""Seconds of each round: of reading and of writing, by program."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Per position: nats from the first's distribution to the second's, and whether the best token is the same."""

    divergence: NDArray[np.float64]
    same: NDArray[np.bool_]


def difference(reference: FloatArray, other: FloatArray) -> Difference:
    """Compare logits ``[S, V]``, some rows at once."""
    divergence = []
    for start in range(0, len(reference), _ROWS):
        left, right = (_log_probabilities(rows[start : start + _ROWS]) for rows in (reference, other))
        divergence.append((np.exp(left) * (left - right)).sum(axis=1))
    return Difference(np.concatenate(divergence), reference.argmax(axis=1) == other.argmax(axis=1))


def _log_probabilities(logits: FloatArray) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _nats_of(logits: FloatArray, ids: Sequence[int]) -> float:
    """Nats of the tokens ``ids``, ``[S]``, under logits ``[S, V]``."""
    parts = range(0, len(ids), _ROWS)
    return -sum(
        float(_log_probabilities(logits[start : start + _ROWS])[range(len(part)), part].sum())
        for start in parts
        if (part := ids[start : start + _ROWS])
    )


def windows(files: Sequence[Path], tokenizer: Tokenizer, tokens: int, begin: int | None) -> list[list[int]]:
    """Pieces of `WINDOW` tokens, equally many from each file, spread over it. Each starts with ``begin``."""
    each = math.ceil(tokens / WINDOW / len(files))
    found = []
    for file in files:
        ids = list(tokenizer.encode(file.read_text(encoding="utf-8")))
        if len(ids) < each * WINDOW:
            raise DocumentError(f"{file} has only {len(ids)} tokens; give a longer file")
        step = len(ids) // each
        first = [] if begin is None else [begin]
        found += [first + ids[place * step : place * step + WINDOW] for place in range(each)]
    return found


def agreement(models: dict[str, Forward], texts: Sequence[Sequence[int]]) -> Report:
    """How far each model is from each of the models before it."""
    pairs = [(left, right) for right in models for left in reversed(models) if left != right and left != OURS]
    pairs = [pair for pair in pairs if pair != (PEER, FLOAT)]
    found: dict[tuple[str, str], list[Difference]] = {pair: [] for pair in pairs}
    nats = dict.fromkeys(models, 0.0)
    progress = progress_bar("agreement")
    for number, ids in enumerate(texts):
        logits = {name: forward(ids) for name, forward in models.items()}
        least = min(rows.shape[1] for rows in logits.values())
        for left, right in pairs:
            found[left, right].append(difference(logits[left][:, :least], logits[right][:, :least]))
        for name, rows in logits.items():
            nats[name] += _nats_of(rows[:-1], ids[1:])
        progress(number + 1, len(texts))
    lines, ratios = [], []
    for (left, right), parts in found.items():
        divergence, same = (np.concatenate([getattr(part, name) for part in parts]) for name in ("divergence", "same"))
        lines.append(
            (f"{left} -> {right}", divergence.mean(), np.median(divergence), np.percentile(divergence, 99), same.mean())
        )
        if (left, right) == (PEER, OURS):
            ratios = [
                Ratio("mean KL", float(divergence.mean()), MOST_KL),
                Ratio("other best token", float(1 - same.mean()), 1 - LEAST_SAME),
            ]
    positions = sum(len(ids) for ids in texts)
    bits = [(name, total / math.log(2) / (positions - len(texts))) for name, total in nats.items()]
    return Report(
        "agreement with llama.cpp",
        {"positions": positions, "windows": len(texts)},
        (
            Table("KL divergence, nats", ("", "mean", "median", "p99", "same best token"), tuple(map(_plain, lines))),
            Table("of the text", ("", "bits a token"), tuple(bits)),
        ),
        tuple(ratios),
    )


def _plain(row: tuple[str, *tuple[np.floating, ...]]) -> tuple[str, *tuple[float, ...]]:
    return (row[0], *(float(value) for value in row[1:]))


def speed(session: ModelSession, peer: LlamaModel, ids: Sequence[int], rounds: int, threads: int = 2) -> Report:
    """Seconds of reading and of writing, in turn. Our engine reads in parts, as it does while a user types. With one
    thread, processor seconds are measured, so that other programs on the machine count less.
    """
    clock = time.process_time if threads == 1 else time.perf_counter

    def ours(part: Sequence[int], start: int) -> None:
        for first in range(0, len(part), PREFILL_CHUNK):
            chunk = np.array(part[first : first + PREFILL_CHUNK], np.int32)
            session.forward(chunk, start + first, (len(chunk) - 1,))

    def theirs(part: Sequence[int], start: int) -> None:
        peer.forward(part, start, (len(part) - 1,))

    read, written = ids[:READ], ids[READ : READ + WRITTEN]
    figures: Figures = {"reading": {OURS: [], PEER: []}, "writing": {OURS: [], PEER: []}}

    def timed(name: str, run: Callable[[Sequence[int], int], None]) -> Callable[[], float]:
        def once() -> float:
            time.sleep(0.1)  # until the other program's threads sleep
            began = clock()
            run(read, 0)
            middle = clock()
            for place, token in enumerate(written):
                run([token], READ + place)
            end = clock()
            figures["reading"][name].append(middle - began)
            figures["writing"][name].append(end - middle)
            return end - began

        return once

    variants = {OURS: timed(OURS, ours), PEER: timed(PEER, theirs)}
    interleave(variants, 1)
    for kind in figures.values():
        for values in kind.values():
            values.clear()
    interleave(variants, rounds, progress_bar("speed"))
    return _speed_report(figures, {"read": READ, "written": WRITTEN, "rounds": rounds, "threads": threads})


def _speed_report(figures: Figures, settings: Mapping[str, int]) -> Report:
    rows = [
        (name, READ / median(figures["reading"][name]), WRITTEN / median(figures["writing"][name]))
        for name in (OURS, PEER)
    ]
    ratios = [
        Ratio(f"{kind}, time over llama.cpp", median_ratio(values[OURS], values[PEER]), 1 / LEAST_SPEED_UP)
        for kind, values in figures.items()
    ]
    return Report(
        "speed against llama.cpp",
        settings,
        (Table("tokens a second", ("", "reading", "writing"), tuple(rows)),),
        tuple(ratios),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reports; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("gguf", type=Path, metavar="FILE.gguf")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILES")
    parser.add_argument("--float", type=Path, metavar="FOLDER32", dest="floats")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--speed", action="store_true", help="in place of the comparison")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=_cores(), help="of the speed; of 1 processor time is measured")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    try:
        made = _speed(args) if args.speed else _agreement(args)
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"machine": machine(), **as_json(made)}) if args.json else as_text(made))
    return 0


def _agreement(args: argparse.Namespace) -> Report:
    manifest = load_manifest(args.folder)
    texts = windows(args.files, load_tokenizer(args.folder, manifest), args.tokens, manifest.control.begin)
    folders = {OURS: args.folder} | ({FLOAT: args.floats} if args.floats else {})
    models = {name: _forward(folder) for name, folder in folders.items()}
    peer = LlamaModel(args.gguf, WINDOW + 1, _cores())
    models[PEER] = lambda ids: peer.forward(ids, 0, range(len(ids)))
    return agreement(models, texts)


def _forward(folder: Path) -> Forward:
    session = OrtSession.load(folder, load_manifest(folder), device="cpu", context_length=WINDOW + 1)
    return lambda ids: session.forward(np.array(ids, np.int32), 0, range(len(ids)))


def _speed(args: argparse.Namespace) -> Report:
    manifest = load_manifest(args.folder)
    (ids,) = windows(args.files[:1], load_tokenizer(args.folder, manifest), WINDOW, None)
    ids = (ids * 2)[: READ + WRITTEN]
    session = OrtSession.load(args.folder, manifest, device="cpu", threads=args.threads, context_length=len(ids))
    return speed(session, LlamaModel(args.gguf, len(ids), args.threads), ids, args.rounds, args.threads)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
