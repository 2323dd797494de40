"""The tables of the replay, and its goals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.keystrokes.accounts import Figures
from benchmarks.keystrokes.passages import Passage
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, percentile
from engine import BUNDLED_MODEL

ANSWERED_PERCENT, WITHOUT_PASS_PERCENT, NO_USE_PERCENT, CPU_S, STOP_MS = 85, 40, 25, 25, 20
P50_MS, P95_MS = 150, 900
BUNDLED_P50_MS, BUNDLED_P95_MS = 40, 200
LATENCY_SHARE, CPU_SHARE, KEPT_TIMES = 0.4, 0.5, 2.0
"""Goals against the peer: p50 and CPU time are at most these shares of the peer's, and kept characters at least
this many times.
"""
LATE = "late"
"""Printed for a quantile that falls among the requests that were not answered before the next key."""


@dataclass(frozen=True, slots=True)
class ModeResult:
    """The benefit and cost of one healing mode, or of the peer. ``idle`` is CPU seconds a minute while nobody types."""

    name: str
    figures: Figures
    cpu_s: float
    typing_s: float
    idle: float
    passages: int
    own_account: Mapping[str, Any] | None
    """The server's own statistics: ``midtoken.server.statistics``; None for the peer."""
    peak_mb: float = 0.0

    @property
    def cpu_a_minute(self) -> float:
        return self.cpu_s / self.typing_s * 60


def report(results: Sequence[ModeResult], passages: Sequence[Passage], files: int, options: BenchOptions) -> Report:
    """All modes side by side. The goals are for the default mode, which is the last one."""
    typed = passages[: results[0].passages]
    written = sum(len(passage.text) for passage in typed)
    conditions: dict[str, Cell] = {
        "files": f"{files} given" if options.files else f"{files} of our own, which no model of ours has seen",
        "typed into each": f"{written} characters in {len(typed)} passages, seed {options.seed}",
        "client": options.client,
        "speed": f"{options.speed:g} times that of a person" if options.speed != 1 else "that of a person",
    }
    best, others = results[-1], results[:-1]
    goal = KEPT_TIMES if options.replay_peer else None
    ratios = [
        Ratio(f"characters kept: {best.name} / {r.name}", best.figures.kept / r.figures.kept, at_least=goal)
        for r in others
        if r.figures.kept
    ]
    if options.replay_peer:
        ratios += _against(best, others[0])
    bundled = options.model in (None, BUNDLED_MODEL)
    tables = (_answers(results), _work(results), _gain(results, written), _goals(best, bundled=bundled))
    return Report("replay", conditions, tables, tuple(ratios))


def _against(ours: ModeResult, peer: ModeResult) -> list[Ratio]:
    """The ratios to the peer that can be computed."""
    found = []
    if peer.cpu_s:  # the system counts processor time in hundredths of a second
        found.append(Ratio("CPU a minute: ours / peer", ours.cpu_a_minute / peer.cpu_a_minute, CPU_SHARE))
    p50, peers = (_quantile(r.figures.all_ms, 50) for r in (ours, peer))
    if math.isfinite(p50):  # who is late at every other key is infinitely late: the ratio is 0 then
        found.append(Ratio("p50 of all requests: ours / peer", p50 / peers, LATENCY_SHARE))
    return found


def _answers(results: Sequence[ModeResult]) -> Table:
    return Table(
        f"answers: from key to answer; over all requests, {LATE} being not before the next key, and of those in time",
        (
            "",
            "requests",
            "in time",
            "in time %",
            "all p50 ms",
            "all p95 ms",
            "in time p50 ms",
            "in time p95 ms",
            "without a forward pass %",
            "the server says p50 ms",
            "without the model %",
        ),
        tuple(
            (
                r.name,
                r.figures.requests,
                len(r.figures.latency_ms),
                _percent(len(r.figures.latency_ms), r.figures.requests),
                _percentile(r.figures.all_ms, 50),
                _percentile(r.figures.all_ms, 95),
                _percentile(r.figures.latency_ms, 50),
                _percentile(r.figures.latency_ms, 95),
                _percent(r.figures.without_pass, len(r.figures.latency_ms)),
                r.own_account["latencyMs"]["p50"] if r.own_account else "-",
                100 * (r.own_account["shareWithoutModel"] or 0.0) if r.own_account else "-",
            )
            for r in results
        ),
    )


def _work(results: Sequence[ModeResult]) -> Table:
    return Table(
        "what it costs",
        (
            "",
            "forward passes",
            "of no use %",
            "tokens read",
            "written",
            "CPU s a minute of typing",
            "CPU s a minute idle",
            "peak MB",
            "stopped",
            "stop p50 ms",
            "stop max ms",
        ),
        tuple(
            (
                r.name,
                r.figures.passes,
                _percent(r.figures.wasted, r.figures.passes),
                r.figures.read,
                r.figures.written,
                _known(r.cpu_a_minute),
                _known(r.idle),
                r.peak_mb,
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
            "",
            "suggestions",
            "typed along",
            "changed meanwhile",
            "accepted",
            "by the word",
            "characters kept",
            "of the text %",
            "wrong ones shown",
            "keys pressed",
            "keys saved",
        ),
        tuple(
            (
                r.name,
                r.figures.suggestions,
                r.figures.followed,
                r.figures.withdrawn,
                r.figures.accepted,
                r.figures.accepted_words,
                r.figures.kept,
                _percent(r.figures.kept, written),
                r.figures.wrong,
                r.figures.keys,
                r.figures.saved,
            )
            for r in results
        ),
    )


def _goals(result: ModeResult, *, bundled: bool) -> Table:
    figures = result.figures
    rows = (
        ("in time %", ANSWERED_PERCENT, _percent(len(figures.latency_ms), figures.requests), 1),
        ("all p50 ms", BUNDLED_P50_MS if bundled else P50_MS, _percentile(figures.all_ms, 50), -1),
        ("all p95 ms", BUNDLED_P95_MS if bundled else P95_MS, _percentile(figures.all_ms, 95), -1),
        ("without a forward pass %", WITHOUT_PASS_PERCENT, _percent(figures.without_pass, len(figures.latency_ms)), 1),
        ("passes of no use %", NO_USE_PERCENT, _percent(figures.wasted, figures.passes), -1),
        ("CPU s a minute of typing", CPU_S, _known(result.cpu_a_minute), -1),
        ("cancelled, stopped after ms, p95", STOP_MS, _percentile(figures.stop_ms, 95), -1),
    )
    return Table(
        f"goals, healing {result.name}",
        ("figure", "goal", "measured", ""),
        tuple(
            (name, f"{'at least' if sign > 0 else 'at most'} {goal}", value, _verdict(goal, value, sign))
            for name, goal, value, sign in rows
        ),
    )


def _verdict(goal: float, value: Cell, sign: int) -> str:
    if value == LATE:
        return "missed"
    if not isinstance(value, float):
        return ""
    return "met" if sign * value >= sign * goal else "missed"


def _percentile(values: Sequence[float], share: float) -> Cell:
    if not values:
        return "-"
    value = _quantile(values, share)
    return LATE if math.isinf(value) else value


def _quantile(values: Sequence[float], share: float) -> float:
    """As `percentile`, but not interpolated if some values are infinite."""
    if math.inf not in values:
        return percentile(values, share)
    return sorted(values)[math.ceil(share / 100 * (len(values) - 1))]


def _percent(part: int, whole: int) -> Cell:
    return 100 * part / whole if whole else "-"


def _known(seconds: float) -> Cell:
    return "install psutil" if math.isnan(seconds) else seconds
