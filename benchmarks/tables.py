"""The options and reports of benchmarks, how reports are printed, and how times are measured: interleaved, as
medians.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from engine import DeviceChoice

Cell: TypeAlias = str | int | float
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of finished rounds and the number of all rounds."""


def no_progress(done: int, total: int) -> None:
    """A progress function that shows nothing."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """``tokenizers`` is a folder of ``*.json.gz``; ``repetitions`` None leaves the number to each benchmark.

    The last group is for ``replay``: files or folders of text that is typed, how many characters of it and for how many
    seconds at most (None leaves it to the benchmark), how much faster than a person, and in which kind of editor.
    ``startup`` types as many characters too.

    ``gguf`` is the file that peers run: ``replay`` types into llama.cpp too with ``replay_peer``, ``peers`` completes
    at ``places`` places of ``cases``, or of our own sources, with the ``peers`` named or all that are installed, and
    goes on from the answers in ``results``; the first ``timed`` places (None: all) count for times.
    """

    model: Path | None = None
    device: DeviceChoice = "auto"
    tokenizers: Path | None = None
    repetitions: int | None = None
    progress: Progress = no_progress
    files: tuple[Path, ...] = ()
    characters: int | None = None
    seconds: float | None = None
    speed: float = 1.0
    client: Literal["vscode", "neovim"] = "vscode"
    seed: int = 0
    gguf: Path | None = None
    replay_peer: bool = False
    cases: Path | None = None
    places: int = 200
    timed: int | None = None
    peers: tuple[str, ...] = ()
    results: Path | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; the first cell of a row says what was measured, units stand in the column names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over the peer's. ``at_most`` or ``at_least`` is the goal, None if there is none."""

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's result. ``conditions`` are what must be known to repeat it."""

    name: str
    conditions: Mapping[str, Cell]
    tables: tuple[Table, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = field(default=())


def interleave(
    variants: Mapping[str, Callable[[], float]], rounds: int, progress: Progress = no_progress
) -> dict[str, list[float]]:
    """Measure the variants in turn, ``rounds`` times, and return what each call returned.

    The order is reversed after every round (A B, B A, ...), so drift in time, such as a processor that gets warm or
    other work on the machine, affects all of them alike.
    """
    figures: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for done in range(rounds):
        for name in names if done % 2 == 0 else reversed(names):
            figures[name].append(variants[name]())
        progress(done + 1, rounds)
    return figures


def median(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 100) per cent lie, interpolated."""
    return float(np.percentile(values, share))


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Median of the ratios of each measurement to the peer's of the same round."""
    return median(np.asarray(ours) / np.asarray(peer))


def machine() -> dict[str, Cell]:
    """The machine on which the figures were measured. The load shows whether it was also doing other work."""
    from engine.runtime.ort import ort

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": _processor(),
        "cores": cores,
        "load": load,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
        "numpy": np.__version__,
    }


def as_text(report: Report) -> str:
    """A report for people."""
    lines = [report.name, *(f"  {name}: {value}" for name, value in report.conditions.items())]
    for table in report.tables:
        lines += ["", f"  {table.title}", *_aligned(table)]
    if report.ratios:
        lines.append("")
    width = max((len(ratio.name) for ratio in report.ratios), default=0)
    for ratio in report.ratios:
        lines.append(f"  {ratio.name:<{width}}  {_ratio(ratio.value):>7}{_verdict(ratio)}")
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    """A report for programs: the fields of `Report`."""
    return asdict(report)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value >= 0.01 else f"{value:.1g}"


def _verdict(ratio: Ratio) -> str:
    if ratio.at_most is not None:
        return f"  (goal: at most {ratio.at_most:g}, {'met' if ratio.value <= ratio.at_most else 'missed'})"
    if ratio.at_least is not None:
        return f"  (goal: at least {ratio.at_least:g}, {'met' if ratio.value >= ratio.at_least else 'missed'})"
    return ""


def _aligned(table: Table) -> list[str]:
    cells = [table.columns, *(tuple(map(_cell, row)) for row in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    return ["    " + _aligned_row(row, widths) for row in cells]


def _aligned_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = row
    return "  ".join(
        [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
    )


def _cell(value: Cell) -> str:
    """Numbers with three significant digits, but with all digits of their whole part."""
    if not isinstance(value, float):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
