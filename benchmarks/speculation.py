"""Speculative decoding against plain decoding of the same places, in turn, in one process and over one cache.

    python -m benchmarks.speculation FILE_OR_FOLDER ... [--model DIR] [--lines multi] [--places 40] [--seconds 600]

Places are in groups of a few lines of one file, so that little has to be read for each. At each place the prompt is
read first. Then one completion is written with drafts and one without, in alternating order, and only the time after
the first token counts. Computed rows are forgotten between the two. ``--processor-time`` uses one thread and measures
its processor time instead of wall time, for a machine that others use too.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_for
from benchmarks.tables import Cell, Report, Table, as_text, machine
from engine import Completer, CompletionRequest, CompletionResult, DraftCounts, Speculation, StopParams

GROUP = 10
"""Lines of one file that are completed one after the other."""
CONTEXT_TOKENS = 512
RESAMPLES = 2000
LEAST_BYTES = 6000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One place: characters written, milliseconds of the decode steps without and with drafts, and counts of
    drafted tokens.
    """

    characters: int
    tokens: int
    plain_ms: float
    drafted_ms: float
    drafts: DraftCounts
    same: bool


def source_files(paths: list[Path]) -> list[Path]:
    """The given files, and the larger Python files of given folders."""
    found = [sorted(path.rglob("*.py")) if path.is_dir() else [path] for path in paths]
    return [path for paths in found for path in paths if path.stat().st_size > LEAST_BYTES]


def places(files: list[Path], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Up to ``count`` documents whose lines are completed: the text before a cursor, and after its group of lines."""
    generator = random.Random(seed)
    for _ in range(0, count, GROUP):
        lines = generator.choice(files).read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) < 30 + 3 * GROUP:
            continue
        first = generator.randrange(20, len(lines) - 2 * GROUP)
        below = "".join(lines[first + GROUP :])
        for number in range(first, first + GROUP):
            line = lines[number].rstrip("\n")
            if not line.strip():
                continue
            indent = len(line) - len(line.lstrip())
            column = generator.choice([indent, generator.randint(indent, len(line))])
            yield "".join(lines[:number]) + line[:column], "\n" + below


def measure(
    completer: Completer, request: CompletionRequest, clock: Callable[[], float], *, drafts_first: bool
) -> Outcome | None:
    """Complete ``request`` both ways; None if nothing but its first token is written."""
    completer.complete(replace(request, stop=StopParams(max_new_tokens=1), speculation="off"))
    results: dict[Speculation, tuple[CompletionResult, float]] = {}
    ways: tuple[Speculation, ...] = ("auto", "off") if drafts_first else ("off", "auto")
    for way in ways:
        completer._cache.forget_rows()
        times: list[float] = []  # after the first token and every later one
        note = partial(_note, times, clock)
        result = completer.complete(replace(request, speculation=way), on_text=note)
        results[way] = result, (clock() - times[0]) * 1000 if times else 0.0
    (plain, plain_ms), (drafted, drafted_ms) = results["off"], results["auto"]
    if not plain.completions or plain.completions[0].tokens < 2 or not plain_ms or not drafted_ms:
        return None
    best = plain.completions[0]
    same = [c.text for c in plain.completions] == [c.text for c in drafted.completions]
    return Outcome(len(best.text), best.tokens, plain_ms, drafted_ms, drafted.drafts, same)


def _note(times: list[float], clock: Callable[[], float], text: str) -> None:
    times.append(clock())


def report(completer: Completer, outcomes: list[Outcome], lines: str, clock: str) -> Report:
    """The figures of all places."""
    plain = np.array([outcome.plain_ms for outcome in outcomes])
    drafted = np.array([outcome.drafted_ms for outcome in outcomes])
    characters = np.array([outcome.characters for outcome in outcomes])
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(outcomes), (RESAMPLES, len(outcomes)))
    totals = plain[draws].sum(axis=1) / drafted[draws].sum(axis=1)
    low, high = np.quantile(totals, [0.025, 0.975])
    ratios = plain / drafted
    p10, p50, p90 = np.quantile(ratios, [0.1, 0.5, 0.9])
    speed: tuple[tuple[Cell, ...], ...] = (
        ("characters a second, plain", 1000 * characters.sum() / plain.sum()),
        ("characters a second, with drafts", 1000 * characters.sum() / drafted.sum()),
        ("ratio of the sums", plain.sum() / drafted.sum()),
        ("its 95 % interval, from", low),
        ("to", high),
        ("ratio at a place, median", p50),
        ("10th percentile", p10),
        ("90th percentile", p90),
        ("texts that differ", sum(not outcome.same for outcome in outcomes)),
    )
    rows = []
    tokens = sum(outcome.tokens for outcome in outcomes)
    for source in ("lookup", "model"):
        tried = sum(getattr(outcome.drafts, f"{source}_drafted") for outcome in outcomes)
        kept = sum(getattr(outcome.drafts, f"{source}_accepted") for outcome in outcomes)
        rows.append((source, tried, kept, kept / tried if tried else 0.0, kept / tokens))
    conditions: dict[str, Cell] = {
        "model": f"{completer.info.name}, {completer.info.precision}",
        "time": clock,
        "places": f"{len(outcomes)}, {lines}, {tokens} tokens, {int(characters.sum())} characters",
    }
    columns = ("drafts", "tokens verified", "right", "share", "of all tokens")
    return Report(
        "speculation",
        conditions,
        (Table("speed of the decode steps", ("", "value"), speed), Table("by source", columns, tuple(rows))),
        (),
    )


def main() -> None:
    """Measure and print; see the module."""
    parser = parser_for(__doc__, model=True, seed=True)
    parser.add_argument("files", nargs="+", type=Path, help="files or folders of Python")
    parser.add_argument("--places", type=int, default=40, help="at most so many (default: 40)")
    parser.add_argument("--seconds", type=float, default=600.0, help="begin no place after so many (default: 600)")
    parser.add_argument("--lines", choices=("single", "multi"), default="multi", help="default: multi")
    parser.add_argument("--tokens", type=int, default=48, help="of a completion, at most (default: 48)")
    parser.add_argument("--lookup-only", action="store_true", help="no drafts of the small model")
    parser.add_argument("--processor-time", action="store_true", help="one thread, and its time")
    args: argparse.Namespace = parser.parse_args()
    threads, clock = (1, time.process_time) if args.processor_time else (None, time.perf_counter)
    completer = Completer.load(args.model, context_tokens=CONTEXT_TOKENS, threads=threads)
    completer._drafters._clock = clock
    small = completer._drafters._small
    if small is not None and not args.lookup_only:
        small.ready()
        small.wait()
    elif args.lookup_only:
        completer._drafters._small = None
    stop = StopParams(max_new_tokens=args.tokens, lines=args.lines)
    outcomes: list[Outcome] = []
    began = time.monotonic()
    for number, (prefix, suffix) in enumerate(places(source_files(args.files), args.places, args.seed)):
        if time.monotonic() - began > args.seconds:
            break
        request = CompletionRequest(prefix, suffix, language="python", stop=stop)
        outcome = measure(completer, request, clock, drafts_first=number % 2 == 0)
        if outcome is not None:
            outcomes.append(outcome)
            print(
                f"{number} {outcome.tokens} tokens, {outcome.plain_ms:.0f} / {outcome.drafted_ms:.0f} ms,"
                f" {outcome.plain_ms / outcome.drafted_ms:.2f}",
                file=sys.stderr,
            )
    print("\n".join(f"  {name}: {value}" for name, value in machine().items()))
    print(as_text(report(completer, outcomes, args.lines, clock.__name__)))


if __name__ == "__main__":
    main()
