"""What is shown, unasked, and how much of it has to be deleted: filters alone, plain thresholds, calibrated sureness.

    python -m benchmarks.confidence FOLDER... [--model DIR] [--cases 500] [--sureness FILE]

Files are cut anywhere, as if everything up to there had just been typed: the rest of the line is not there yet, the
lines below are. *kept* are the leading characters that the file has too; a completion is *right* if all of it is kept,
and has *to be deleted* if none is. *breaks*: the code around parsed before and does not with it, headers
whose body is not there yet among them. Files must not have been trained on, nor be used to fit the sureness.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.shown_places import Cut, Shown, complete, cuts, judge
from benchmarks.sureness import Sureness, load_sureness
from engine import Completer, CompletionResult
from lsp_server.code.confidence import DEFAULT_CONFIDENCE

STRICTER = 0.3
RAW, FILTERED, PLAIN, SURE = "no filters", "filters", f"filters, at least {STRICTER}", "filters and sureness"
_HEAD = f"{'':<24}   shown   right   to delete   wrong per kept    kept   breaks"


def main() -> None:
    """Print a table for each language, and the time of the filters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sureness", type=Path, help="what benchmarks.fit_sureness wrote")
    parser.add_argument("--cases", type=int, default=500, help="places in each language")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    completer = Completer.load(args.model)
    report(
        [
            (cut, complete(completer, cut, DEFAULT_CONFIDENCE), complete(completer, cut, STRICTER))
            for cut in cuts(args.folders, args.cases, args.seed)
        ],
        load_sureness(args.sureness) if args.sureness else None,
    )


def report(places: Sequence[tuple[Cut, CompletionResult, CompletionResult]], sureness: Sureness | None) -> None:
    """Print the tables of places with what the model says there at the default threshold and at the stricter one."""
    found: dict[str, dict[str, list[Shown]]] = defaultdict(lambda: defaultdict(list))
    took_ms: list[float] = []
    for cut, result, strict in places:
        rows = found[cut.document.language]
        rows[RAW].append(judge(result, cut, filtered=False))
        began = time.thread_time()
        shown = judge(result, cut)
        took_ms.append((time.thread_time() - began) * 1000)
        rows[FILTERED].append(shown)
        rows[PLAIN].append(judge(strict, cut))
        if sureness is not None:
            unsure = (
                shown.completion is not None and sureness.probability(shown.completion, cut.code) < sureness.automatic
            )
            rows[SURE].append(replace(shown, characters=0, kept=0, breaks=False) if unsure else shown)
    for language, rows in found.items():
        print(f"\n{language}: {len(rows[RAW])} places\n\n{_HEAD}")
        for name, row in rows.items():
            print(_row(name, row))
    took_ms.sort()
    print(f"\nall filters, with the parse that judges: p50 {took_ms[len(took_ms) // 2]:.1f} ms,"
          f" p95 {took_ms[int(len(took_ms) * 0.95)]:.1f} ms of the processor")  # fmt: skip


def _row(name: str, places: Sequence[Shown]) -> str:
    shown = [place for place in places if place.characters]
    kept = sum(place.kept for place in shown)
    wrong = sum(place.characters for place in shown) - kept
    count = max(1, len(shown))
    return (
        f"{name:<24}{len(shown) / len(places):>8.1%}{sum(place.right for place in shown) / count:>8.1%}"
        f"{sum(not place.kept for place in shown) / count:>12.1%}{wrong / max(1, kept):>17.2f}{kept:>8}"
        f"{sum(place.breaks for place in shown) / len(places):>9.1%}"
    )


if __name__ == "__main__":
    main()
