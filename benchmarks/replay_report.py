"""The tables of the replay, and its goals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.keystrokes.accounts import Figures
from benchmarks.keystrokes.passages import Passage
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, percentile
from engine import HealingMode

P50_MS, P95_MS, WITHOUT_PASS_PERCENT, STOP_MS = 60, 200, 40, 20


@dataclass(frozen=True, slots=True)
class ModeResult:
    """What one healing mode gave and cost. ``idle`` is CPU seconds a minute with nobody typing."""

    healing: HealingMode
    figures: Figures
    cpu_s: float
    typing_s: float
    idle: float
    passages: int
    own_account: Mapping[str, Any]
    """What the server says of itself: ``midtoken.server.statistics``."""


def report(results: Sequence[ModeResult], passages: Sequence[Passage], files: int, options: BenchOptions) -> Report:
    """All modes side by side; the goals are those of the mode that is the default, the last one."""
    typed = passages[: results[0].passages]
    written = sum(len(passage.text) for passage in typed)
    conditions: dict[str, Cell] = {
        "files": f"{files} given" if options.files else f"{files} of our own, which no model of ours has seen",
        "typed under each mode": f"{written} characters in {len(typed)} passages, seed {options.seed}",
        "client": options.client,
        "speed": f"{options.speed:g} times that of a person" if options.speed != 1 else "that of a person",
    }
    best, others = results[-1], results[:-1]
    ratios = [
        Ratio(f"characters kept: {best.healing} / {r.healing}", best.figures.kept / r.figures.kept)
        for r in others
        if r.figures.kept
    ]
    tables = (_answers(results), _work(results), _gain(results, written), _goals(best))
    return Report("replay", conditions, tables, tuple(ratios))


def _answers(results: Sequence[ModeResult]) -> Table:
    return Table(
        "answers: from request to answer, of those that came before the next key",
        (
            "healing",
            "requests",
            "answered",
            "p50 ms",
            "p95 ms",
            "without a forward pass %",
            "the server says p50 ms",
            "without the model %",
        ),
        tuple(
            (
                r.healing,
                r.figures.requests,
                len(r.figures.latency_ms),
                _percentile(r.figures.latency_ms, 50),
                _percentile(r.figures.latency_ms, 95),
                _percent(r.figures.without_pass, len(r.figures.latency_ms)),
                r.own_account["latencyMs"]["p50"],
                100 * (r.own_account["shareWithoutModel"] or 0.0),
            )
            for r in results
        ),
    )


def _work(results: Sequence[ModeResult]) -> Table:
    return Table(
        "what it costs",
        (
            "healing",
            "forward passes",
            "of no use %",
            "CPU s a minute of typing",
            "CPU s a minute idle",
            "stopped",
            "stop p50 ms",
            "stop max ms",
        ),
        tuple(
            (
                r.healing,
                r.figures.passes,
                _percent(r.figures.wasted, r.figures.passes),
                _known(r.cpu_s / r.typing_s * 60),
                _known(r.idle),
                len(r.figures.stop_ms),
                _percentile(r.figures.stop_ms, 50),
                _percentile(r.figures.stop_ms, 100),
            )
            for r in results
        ),
    )


def _gain(results: Sequence[ModeResult], written: int) -> Table:
    return Table(
        "what somebody gets from it",
        (
            "healing",
            "suggestions",
            "typed along",
            "changed meanwhile",
            "accepted",
            "by the word",
            "characters kept",
            "of the text %",
            "keys pressed",
            "keys saved",
        ),
        tuple(
            (
                r.healing,
                r.figures.suggestions,
                r.figures.followed,
                r.figures.withdrawn,
                r.figures.accepted,
                r.figures.accepted_words,
                r.figures.kept,
                _percent(r.figures.kept, written),
                r.figures.keys,
                r.figures.saved,
            )
            for r in results
        ),
    )


def _goals(result: ModeResult) -> Table:
    figures = result.figures
    rows = (
        ("p50 ms", P50_MS, _percentile(figures.latency_ms, 50), -1),
        ("p95 ms", P95_MS, _percentile(figures.latency_ms, 95), -1),
        ("without a forward pass %", WITHOUT_PASS_PERCENT, _percent(figures.without_pass, len(figures.latency_ms)), 1),
        ("cancelled, stopped after ms, p95", STOP_MS, _percentile(figures.stop_ms, 95), -1),
    )
    return Table(
        f"goals, healing {result.healing}",
        ("figure", "goal", "measured", ""),
        tuple(
            (name, f"{'at least' if sign > 0 else 'at most'} {goal}", value, _verdict(goal, value, sign))
            for name, goal, value, sign in rows
        ),
    )


def _verdict(goal: float, value: Cell, sign: int) -> str:
    if not isinstance(value, float):
        return ""
    return "met" if sign * value >= sign * goal else "missed"


def _percentile(values: Sequence[float], share: float) -> Cell:
    return percentile(values, share) if values else "-"


def _percent(part: int, whole: int) -> Cell:
    return 100 * part / whole if whole else "-"


def _known(seconds: float) -> Cell:
    return "install psutil" if math.isnan(seconds) else seconds
