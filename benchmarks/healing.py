"""Healing: what it adds to the time to the first token, model calls included, and what our own part of it costs.

The peer is the same request with healing ``off``, in turn with the others. A *fresh* prompt is new to the cache; a
*warm* one comes one typed character after it, as in an editor.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np

from benchmarks.documents import SEED, Cut, cuts
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table
from engine import HEALING_MODES, Completer, CompletionRequest, CompletionResult, HealingMode, HealingParams, StopParams

POSITIONS = 40
ROUNDS = 3
MOST_ADDED = 1.02
"""The goal for ``k-step``, the mode with one forward pass. The other modes have no goal."""
_KINDS = ("fresh", "warm")
_FIRST_TOKEN = StopParams(max_new_tokens=1)


@dataclass(frozen=True, slots=True)
class _Series:
    """One mode on one kind of prompt, ``[positions]`` each: medians over the rounds."""

    total_ms: np.typing.NDArray[np.float64]
    own_ms: np.typing.NDArray[np.float64]
    reused: np.typing.NDArray[np.float64]
    prompt: np.typing.NDArray[np.float64]


def run(options: BenchOptions) -> Report:
    """Measure every mode at the same positions."""
    completer = Completer.load(options.model, device=options.device)
    positions, rounds = cuts(completer, POSITIONS), options.repetitions or ROUNDS
    results: dict[tuple[str, HealingMode], list[CompletionResult]] = {(k, m): [] for k in _KINDS for m in HEALING_MODES}
    number = count()
    for mode in HEALING_MODES:  # once each, so that nobody pays for what is done on first use
        _first_tokens(completer, positions[0].fresh(next(number)), mode)
    for done in range(rounds):
        for place, cut in enumerate(positions):
            # Reversed every time, so that drift during the measurement affects all modes alike.
            for mode in HEALING_MODES if (done + place) % 2 == 0 else reversed(HEALING_MODES):
                pair = _first_tokens(completer, cut.fresh(next(number)), mode)
                for kind, result in zip(_KINDS, pair, strict=True):
                    results[kind, mode].append(result)
            options.progress(done * len(positions) + place + 1, rounds * len(positions))
    series = {key: _series(found, rounds) for key, found in results.items()}
    return _report(completer, series, rounds)


def _first_tokens(completer: Completer, cut: Cut, mode: HealingMode) -> tuple[CompletionResult, CompletionResult]:
    """The first token at the cut, with nothing in the cache, and one typed character later."""

    def request(prefix: str) -> CompletionRequest:
        return CompletionRequest(prefix, cut.suffix, healing=HealingParams(mode=mode), stop=_FIRST_TOKEN)

    return completer.complete(request(cut.prefix)), completer.complete(request(cut.prefix + cut.typed_next))


def _series(results: list[CompletionResult], rounds: int) -> _Series:
    def medians(values: list[float]) -> np.typing.NDArray[np.float64]:
        found: np.typing.NDArray[np.float64] = np.median(np.reshape(values, (rounds, -1)), axis=0)
        return found

    return _Series(
        total_ms=medians([result.timing.total_ms for result in results]),
        own_ms=medians([result.timing.heal_ms for result in results]),
        reused=medians([result.reused_tokens for result in results]),
        prompt=medians([result.prompt_tokens for result in results]),
    )


def _report(completer: Completer, series: dict[tuple[str, HealingMode], _Series], rounds: int) -> Report:
    rows, ratios = [], []
    for kind in _KINDS:
        for mode in HEALING_MODES:
            rows.append(_row(f"{mode}, {kind}", series[kind, mode]))
            if mode == "off":
                continue
            share = np.median(series[kind, mode].total_ms / series[kind, "off"].total_ms)
            goal = MOST_ADDED if mode == "k-step" else None
            ratios.append(Ratio(f"time to the first token, {kind}: {mode} / off", float(share), goal))
    info = completer.info
    conditions: dict[str, Cell] = {
        "model": f"{info.name}, {info.precision}, {info.vocabulary} entries, on {info.provider}",
        "positions": f"{POSITIONS} inside a token of our own sources (seed {SEED}), {rounds} rounds",
        "prompt tokens": float(np.median(series["fresh", "off"].prompt)),
        "own part": "tokens taken back, covers, distribution, choice: all but tokenising and the model",
    }
    columns = ("mode, prompt", "first token p50 ms", "p95 ms", "own part p50 us", "p95 us", "prompt reused %")
    table = Table("time to the first token", columns, tuple(rows))
    return Report("healing", conditions, (table,), tuple(ratios))


def _row(name: str, series: _Series) -> tuple[Cell, ...]:
    total, own = series.total_ms, series.own_ms * 1000
    return (
        name,
        float(np.median(total)),
        float(np.percentile(total, 95)),
        float(np.median(own)),
        float(np.percentile(own, 95)),
        float(100 * series.reused.sum() / series.prompt.sum()),
    )
