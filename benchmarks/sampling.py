"""One choice of a token from a row of logits: every strategy at two sizes of vocabulary, beside transformers' own.

Rows are noise with a few entries above it, like a model's rows. If torch and transformers can be imported, their
processors and their draw run on the same rows in the same process, in turn with ours. Strategies that look ahead or
search cost forward passes, which ``benchmarks/strategies.py`` measures on a model.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, interleave, median, median_ratio
from engine import RequestError, SamplingParams
from engine.sampling import BasisAware, History, build_chooser
from engine.sampling.bat import require_highs
from engine.types import FloatArray

SIZES = (50_000, 200_000)
ROUNDS = 15
MOST_DEFAULT_MS = 0.5
HISTORY = 1000
DEFAULT = "temperature, top-k, top-p"
CHAINS: Mapping[str, SamplingParams] = {
    "greedy": SamplingParams(),
    "temperature": SamplingParams("sample", temperature=0.8, seed=0),
    "top-k 50": SamplingParams("sample", top_k=50, seed=0),
    "top-p 0.95": SamplingParams("sample", top_p=0.95, seed=0),
    DEFAULT: SamplingParams("sample", temperature=0.8, top_k=50, top_p=0.95, seed=0),
    "min-p 0.1": SamplingParams("sample", min_p=0.1, seed=0),
    "top-n-sigma 1": SamplingParams("sample", top_n_sigma=1.0, seed=0),
    "eta 3e-4": SamplingParams("sample", eta=3e-4, seed=0),
    "epsilon 3e-4": SamplingParams("sample", epsilon=3e-4, seed=0),
    "repetition penalty": SamplingParams(repetition_penalty=1.2),
    "frequency, presence": SamplingParams(frequency_penalty=0.5, presence_penalty=0.5),
    "no-repeat n-gram": SamplingParams(no_repeat_ngram=3),
    "EDT": SamplingParams("edt", seed=0),
    "AdapT": SamplingParams("adapt", seed=0),
    "KL-guided": SamplingParams("kl", seed=0),
    "entropy gate": SamplingParams("entropy-gate", seed=0),
}


def run(options: BenchOptions) -> Report:
    """Measure one choice of every chain, in microseconds."""
    rounds = options.repetitions or ROUNDS
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    peer_note = "transformers cannot be imported here: no peer"
    for number, size in enumerate(SIZES):
        logits = _rows(size)
        peers = _transformers(logits, size)
        if peers:
            peer_note = "peer: transformers' processors and torch.multinomial (argmax for greedy), one thread"
        variants: dict[str, Callable[[], float]] = {}
        for name, params in CHAINS.items():
            variants[name] = _ours(params, logits, size)
            if name in peers:
                variants[f"peer {name}"] = peers[name]
        interleave(variants, 1)  # nobody pays for what is done on first use
        figures = interleave(
            variants,
            rounds,
            partial(_report, options, number),
        )
        for name in CHAINS:
            peer = figures.get(f"peer {name}")
            rows.append((f"{name}, {size}", median(figures[name]) * 1000, median(peer) * 1000 if peer else "-"))
            if peer:
                ratios.append(Ratio(f"{name} / transformers, {size}", median_ratio(figures[name], peer), 1.0))
        if size == max(SIZES):
            ratios.append(Ratio(f"{DEFAULT} at {size}, ms", median(figures[DEFAULT]), MOST_DEFAULT_MS))
    table = Table("one choice", ("chain, entries", "us", "transformers us"), tuple(rows))
    return Report("sampling", {"rounds": rounds, "each": "4 rows"}, (table, _bat_table()), tuple(ratios), (peer_note,))


def _report(options: BenchOptions, number: int, done: int, total: int) -> None:
    options.progress(number * total + done, len(SIZES) * total)


def _rows(size: int) -> list[FloatArray]:
    generator = np.random.default_rng(0)
    rows = (2.0 * generator.standard_normal((4, size))).astype(np.float32)
    for row in rows:
        row[generator.integers(0, size, 100)] += generator.uniform(2, 14, 100).astype(np.float32)
    return list(rows)


def _history(size: int) -> list[int]:
    tokens: list[int] = np.random.default_rng(1).integers(0, size, HISTORY).tolist()
    return tokens


def _timed(choose: Callable[[FloatArray], object], rows: list[FloatArray]) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        for row in rows:
            choose(row)
        return (time.perf_counter() - started) * 1000 / len(rows)

    return measure


def _ours(params: SamplingParams, rows: list[FloatArray], size: int) -> Callable[[], float]:
    chooser = build_chooser(params, reference=lambda history: rows[0])
    tokens = _history(size)
    history = History(np.array(tokens[:-32], np.int32), tokens[-32:])
    return _timed(lambda row: chooser.next_token(row, history), rows)


def _transformers(rows: list[FloatArray], size: int) -> dict[str, Callable[[], float]]:
    """The chains that transformers has, on the same rows; empty if it is not installed."""
    try:
        import torch
        import transformers as t
    except ImportError:
        return {}
    torch.set_num_threads(1)  # as ours; more are slower still where the machine is busy
    ids = torch.tensor([_history(size)])
    chains: dict[str, list[object]] = {
        "greedy": [],
        "temperature": [t.TemperatureLogitsWarper(0.8)],
        "top-k 50": [t.TopKLogitsWarper(50)],
        "top-p 0.95": [t.TopPLogitsWarper(0.95)],
        DEFAULT: [t.TemperatureLogitsWarper(0.8), t.TopKLogitsWarper(50), t.TopPLogitsWarper(0.95)],
        "min-p 0.1": [t.MinPLogitsWarper(0.1)],
        "eta 3e-4": [t.EtaLogitsWarper(3e-4)],
        "epsilon 3e-4": [t.EpsilonLogitsWarper(3e-4)],
        "repetition penalty": [t.RepetitionPenaltyLogitsProcessor(1.2)],
        "no-repeat n-gram": [t.NoRepeatNGramLogitsProcessor(3)],
    }

    def chooser(name: str) -> Callable[[FloatArray], object]:
        processors = t.LogitsProcessorList(chains[name])
        draws = name not in ("greedy", "repetition penalty", "no-repeat n-gram")

        def choose(row: FloatArray) -> object:
            with torch.no_grad():
                scores = processors(ids, torch.from_numpy(row)[None])
                if draws:
                    return torch.multinomial(torch.softmax(scores, -1), 1)
                return torch.argmax(scores, -1)

        return choose

    return {name: _timed(chooser(name), rows) for name in chains}


def _bat_table() -> Table:
    """Milliseconds for the decision about one token below the threshold, by columns; needs highspy."""
    found: list[tuple[Cell, ...]] = []
    try:
        require_highs()
        for size in SIZES:
            row = _rows(size)[0].astype(np.float64)
            probabilities = np.exp(row - row.max())
            probabilities /= probabilities.sum()
            doubtful = np.flatnonzero((probabilities < 3e-4) & (probabilities > 1e-6))[:8].tolist()
            basis = np.linalg.qr(np.random.default_rng(2).standard_normal((size, 20)))[0].astype(np.float32)
            for columns in (2, 5, 20):
                rule = BasisAware(np.ascontiguousarray(basis[:, :columns]), 3e-4)
                taken = []
                for token in doubtful:
                    started = time.perf_counter()
                    rule.accepts(probabilities, token)
                    taken.append((time.perf_counter() - started) * 1000)
                found.append((f"{size} entries, {columns} columns", median(taken), max(taken)))
    except RequestError as error:
        found.append((f"not measured: {error}", "-", "-"))
    return Table("basis-aware truncation, one token below the threshold", ("", "p50 ms", "max ms"), tuple(found))
