"""What finding context in other open documents costs, and what it does to the model's cache during typing.

    python -m benchmarks.context FOLDER [--model DIR] [--others 30] [--typed 300]

Text is typed, character by character, into the middle of one of the folder's files, while other files are open. Each
keystroke is a request as the server makes it. Finding is timed in processor time of its thread. *changed* counts
keystrokes after which the pieces changed; *reused* is the share of the prompt's tokens that the model did not read
again.
"""

import itertools
import statistics
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.arguments import parser_for
from engine import Completer
from lsp_server.completion.prompt import Place, build_request, code_at
from lsp_server.context.cross_file import ContextFinder, Extra, imports_of
from lsp_server.documents.documents import Document
from lsp_server.settings import Settings


def main() -> None:
    """Print one line for the finding alone, then the cache with and without other documents."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--others", type=int, default=30)
    parser.add_argument("--typed", type=int, default=300)
    args = parser.parse_args()
    paths = sorted(args.folder.rglob("*.py"), key=lambda path: -path.stat().st_size)[: args.others + 1]
    documents = [Document.create(path.as_uri(), "python", 1, path.read_text(encoding="utf-8")) for path in paths]
    main_one, others = documents[0], documents[1:]
    start = main_one.text.index("\n", len(main_one.text) // 2) + 1
    steps = [
        replace(main_one, version=n, text=main_one.text[: start + n] + main_one.text[start + args.typed :])
        for n in range(1, args.typed)
    ]
    steps = [Document.create(step.uri, "python", step.version, step.text) for step in steps]
    finder, found, times = ContextFinder(), [], []
    for number, step in enumerate(steps, 1):
        began = time.thread_time()
        found.append(finder.find(step, start + number, others))
        times.append((time.thread_time() - began) * 1000)
    changed = sum(one != other for one, other in itertools.pairwise(found))
    cuts = statistics.quantiles(times, n=20)
    print(
        f"{len(others)} others of {sum(len(other.text) for other in others):,} characters,"
        f" typing in one of {len(main_one.text):,}"
    )
    print(f"finding: first {times[0]:.1f} ms, p50 {cuts[9]:.2f} ms, p95 {cuts[18]:.2f} ms, longest {max(times):.1f} ms")
    print(f"changed after {changed} of {len(steps)} keystrokes; {len(found[-1].pieces)} pieces at the end")
    completer = Completer.load(args.model)
    alone = [Extra(imports=imports_of(step, start + number)) for number, step in enumerate(steps, 1)]
    for name, extras in (("alone", alone), ("with others", found)):
        print(f"{name}: {_reuse(completer, steps, start, extras)}")


def _reuse(completer: Completer, steps: list[Document], start: int, extras: list[Extra]) -> str:
    shares, times = [], []
    for number, (step, extra) in enumerate(zip(steps, extras, strict=True), 1):
        code = code_at(step, Place(start + number, start + number, ""))
        request = build_request(step, code, Settings(), extra, candidates=1, automatic=True, budget_ms=60_000.0)
        result = completer.complete(request)
        shares.append(result.reused_tokens / result.prompt_tokens)
        times.append(result.timing.total_ms)
    low = sum(share < 0.9 for share in shares)
    cuts = statistics.quantiles(times, n=20)
    return (
        f"reused {statistics.mean(shares):.1%} of the prompt, less than 90 % of it {low} times;"
        f" a completion p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms"
    )


if __name__ == "__main__":
    main()
