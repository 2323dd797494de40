"""What is shown while typing, and how much of it must be deleted: without filters, and with them at several thresholds.

    python -m benchmarks.confidence FOLDER... [--model NAME|DIR] [--cases 500] [--least 0.1 0.15 0.3]

Files are cut anywhere, as if everything up to there had just been typed: the rest of the line is not there yet, but the
lines below are. *kept* counts the leading characters that the file has too. A completion is *right* if all of it is
kept, and has *to be deleted* if none is. *worth* is kept minus wrong characters. *breaks* counts completions after
which the code around no longer parses, including headers without a body. The model must not have been trained on the
files.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import parser_for
from benchmarks.shown_places import Cut, Shown, complete, cuts, judge
from engine import Completer
from lsp_server.code.confidence import DEFAULT_CONFIDENCE

THRESHOLDS = (0.1, DEFAULT_CONFIDENCE, 0.2, 0.3)
_HEAD = f"{'':<24}   shown   right   to delete   wrong per kept    kept   worth   breaks"


def main() -> None:
    """Print a table for each language, and the time of the filters."""
    parser = parser_for(__doc__, model=True, seed=True)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--cases", type=int, default=500, help="places in each language")
    parser.add_argument("--least", type=float, nargs="+", default=THRESHOLDS, help="thresholds (minConfidence)")
    args = parser.parse_args()
    report(Completer.load(args.model), tuple(cuts(args.folders, args.cases, args.seed)), args.least)


def report(completer: Completer, places: Sequence[Cut], thresholds: Sequence[float]) -> None:
    """Print the tables of what is shown at ``places``."""
    found: dict[str, dict[str, list[Shown]]] = defaultdict(lambda: defaultdict(list))
    took_ms: list[float] = []
    for cut in places:
        rows = found[cut.document.language]
        for least in thresholds:
            result = complete(completer, cut, least)
            rows[f"no filters, {least}"].append(judge(result, cut, filtered=False))
            began = time.thread_time()
            rows[f"filters, {least}"].append(judge(result, cut))
            took_ms.append((time.thread_time() - began) * 1000)
    for language, rows in found.items():
        print(f"\n{language}\n\n{_HEAD}")
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
        f"{sum(not place.kept for place in shown) / count:>12.1%}{wrong / max(1, kept):>17.2f}"
        f"{kept:>8}{kept - wrong:>8}{sum(place.breaks for place in shown) / len(places):>9.1%}"
    )


if __name__ == "__main__":
    main()
