"""Decode steps through our loop against bare calls of the same graph, in the same process and session.

Our time is everything between two tokens: cancellation and time budget, the forward pass, the choice, the
log-probability. The bare calls only run the graph.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np

from benchmarks.bare import BareBinding, BareLoop, open_session, read_manifest
from benchmarks.documents import own_sources
from benchmarks.tables import (
    BenchOptions,
    Cell,
    Progress,
    Ratio,
    Report,
    Table,
    interleave,
    median,
    median_ratio,
    percentile,
)
from engine import BUNDLED_MODEL, CancellationToken, SamplingParams
from engine.decoding.decode import decode
from engine.healing.k_step import Cover
from engine.model_folder.manifest import load_manifest
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.graph import choose_device
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser
from engine.text.tokenizer import Tokenizer
from engine.types import IdArray

STEPS = 16
ROUNDS = 12
PROMPT_LENGTHS = (64, 512, 1536)
MOST_OVERHEAD = 1.10
OURS, RUN, BINDING = "our loop", "bare session.run", "bare run_with_iobinding"


def run(options: BenchOptions) -> Report:
    """Measure ``STEPS`` steps after prompts of several lengths."""
    folder = options.model or BUNDLED_MODEL
    manifest, raw = load_manifest(folder), read_manifest(folder)
    device = choose_device(options.device)
    providers = ["CUDAExecutionProvider"] if device.kind == "cuda" else []
    session = open_session(folder, raw, [*providers, "CPUExecutionProvider"])
    ids = _prompt(folder / manifest.tokenizer_file)
    rounds = options.repetitions or ROUNDS
    lengths = [length for length in PROMPT_LENGTHS if length + STEPS <= min(len(ids), manifest.context_length)]
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    for place, length in enumerate(lengths):
        capacity = length + STEPS
        known = ids[:capacity].tolist()
        cache = TokenCache(OrtSession(session, manifest, capacity, device))
        variants = {
            OURS: _ours(cache, ids[:length], manifest.vocabulary.tokenizer),
            RUN: _bare_run(BareLoop(session, raw), known),
            BINDING: _bare_binding(BareBinding(session, raw, capacity, device.kind), known),
        }
        interleave(variants, 1)  # nobody pays for what is done on first use
        progress = partial(_progress, options.progress, place * rounds, len(lengths) * rounds)
        figures = interleave(variants, rounds, progress)
        for name, values in figures.items():
            rows.append((f"{name}, after {length} tokens", median(values), percentile(values, 95)))
        for peer in (RUN, BINDING):
            share = median_ratio(figures[OURS], figures[peer])
            ratios.append(Ratio(f"{OURS} / {peer}, after {length} tokens", share, MOST_OVERHEAD))
    conditions: dict[str, Cell] = {
        "model": f"{manifest.name}, {manifest.precision}, {manifest.vocabulary.tokenizer} entries, on {device.kind}",
        "each": f"{STEPS} decode steps in a row, {rounds} times in turn, one session for all",
    }
    table = Table("one decode step", ("loop", "p50 ms", "p95 ms"), tuple(rows))
    return Report("decode", conditions, (table,), tuple(ratios))


def _prompt(tokenizer_file: Path) -> IdArray:
    tokenizer = Tokenizer(tokenizer_file.read_text(encoding="utf-8"))
    return np.array(tokenizer.encode("\n".join(own_sources())), np.int32)


def _progress(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _ours(cache: TokenCache, prompt: IdArray, vocabulary_size: int) -> Callable[[], float]:
    chooser = build_chooser(SamplingParams())
    # The prompt's last token is the cover's, so the step after it is the first that needs the model.
    last = len(prompt) - 1
    cover = Cover(last, (), int(prompt[last]), 0, 0.0)
    changed = prompt.copy()
    number = count()

    def measure() -> float:
        checkpoint = Checkpoint(CancellationToken(), time.monotonic() + 3600)
        # A different token before it in every round, so that no remembered row can be used.
        changed[last - 1] = next(number) % vocabulary_size
        cache.prefill(changed[:last], (last - 1,), checkpoint)
        steps = decode(cache, changed, cover, chooser, vocabulary_size, checkpoint)
        next(steps)
        started = time.perf_counter()
        taken = sum(1 for _ in islice(steps, STEPS))
        elapsed = time.perf_counter() - started
        assert taken == STEPS
        return elapsed * 1000 / STEPS

    return measure


def _bare_run(loop: BareLoop, ids: list[int]) -> Callable[[], float]:
    prompt, following = ids[: -STEPS - 1], ids[-STEPS - 1 : -1]
    loop.forward(prompt)
    cache = loop.cache

    def measure() -> float:
        loop.cache, loop.length = cache, len(prompt)
        return _steps(loop, following)

    return measure


def _bare_binding(binding: BareBinding, ids: list[int]) -> Callable[[], float]:
    prompt, following = ids[: -STEPS - 1], ids[-STEPS - 1 : -1]
    binding.forward(prompt)

    def measure() -> float:
        binding.length = len(prompt)
        return _steps(binding, following)

    return measure


def _steps(loop: BareLoop | BareBinding, ids: list[int]) -> float:
    started = time.perf_counter()
    for token in ids:
        loop.forward([token])
    return (time.perf_counter() - started) * 1000 / len(ids)
