"""`python -m benchmarks.files FOLDER --among TREE`: what a model gains from the names of files and from other files.

Cuts in the files of FOLDER, which the model was not trained on, are completed in four ways: the document alone; its
path after the model's token for files; snippets of other files before the document, with comments that name them (the
server finds them in the nearest files of TREE); the same snippets after the tokens. Half of the cuts also have the text
after the cursor's line. *Bits* are those of the whole true line under the model, exactly, for any tokens. The interval
is that of the difference from the document alone.
"""

import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_for
from benchmarks.cases import CUTS, places
from benchmarks.tables import Report, Table, as_text, machine
from engine import DEFAULT_CONTEXT_TOKENS, Completer, CompletionRequest, StopParams
from engine.loading import load_model
from lsp_server.commands.evaluation import Case, Outcome, score
from lsp_server.context.cross_file import ContextFinder
from lsp_server.documents.documents import Document

OTHERS = 30
"""Files that count as open beside the document: those next to it in the order of their paths."""


def main(arguments: list[str] | None = None) -> int:
    """Print a table with one row for each way; exit status 1 if the folder has too few places."""
    parser = parser_for(__doc__, model=True, seed=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--among", type=Path, help="the tree that the other files come from (default: FOLDER)")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--cut", choices=sorted(CUTS), default="identifier")
    args = parser.parse_args(arguments)
    found = list(places(args.folder, CUTS[args.cut]))
    if len(found) < args.count:
        print(f"{args.folder} has {len(found)} places of this kind; ask for fewer", file=sys.stderr)
        return 1
    tree = args.among or args.folder
    files = sorted(path for path in tree.rglob("*.py") if path.stat().st_size < 200_000)
    told = Completer.load(args.model)
    untold = without_tokens(args.model)
    outcomes: dict[str, list[Outcome]] = {}
    bits: dict[str, list[float]] = {}
    for number, (path, offset) in enumerate(random.Random(args.seed).sample(found, args.count)):
        name = path.relative_to(args.folder)
        case, ways = ways_of(path, offset, name.as_posix(), beside(files, tree / name), suffix=number % 2 == 0)
        for way, request in ways.items():
            # The two completers share nothing that could help one of the ways.
            completer = untold if "comments" in way else told
            result = completer.complete(request)
            text = result.completions[0].text if result.completions else ""
            outcomes.setdefault(way, []).append(Outcome(case, text, result.timing.total_ms))
            line = replace(request, prefix=case.prefix + case.reference)
            bits.setdefault(way, []).append(completer.trace(line).surprise_bits)
    print(as_text(report(outcomes, bits)))
    return 0


def without_tokens(folder: Path | None) -> Completer:
    """The model as if it had no tokens for files, so that other files are plain text for it."""
    loaded = load_model(folder, "cpu", None, DEFAULT_CONTEXT_TOKENS)
    info = Completer.load(folder).info
    return Completer(loaded.session, loaded.tokenizer, loaded.index, replace(loaded.manifest, repository=None), info)


def beside(files: list[Path], own: Path) -> list[Path]:
    """The files next to ``own`` in the order of paths, without itself."""
    others = [path for path in files if path != own]
    at = sum(path < own for path in others)
    start = max(0, min(at - OTHERS // 2, len(others) - OTHERS))
    return others[start : start + OTHERS]


def ways_of(
    path: Path, offset: int, name: str, others: list[Path], *, suffix: bool
) -> tuple[Case, Mapping[str, CompletionRequest]]:
    """A place and the requests that are compared there."""
    text = path.read_text(encoding="utf-8")
    end = text.find("\n", offset)
    case = Case(f"{name}:{offset}", text[:offset], text[end:] if suffix else "", text[offset:end], "python", name)
    document = Document.create(path.absolute().as_uri(), "python", 1, case.prefix + case.suffix)
    opened = [
        Document.create(other.absolute().as_uri(), "python", 1, other.read_text(encoding="utf-8", errors="replace"))
        for other in others
    ]
    extra = ContextFinder().find(document, offset, opened)
    alone = CompletionRequest(case.prefix, case.suffix, "python", stop=StopParams(lines="single"))
    both = replace(alone, extra_context=extra.pieces, imports=extra.imports)
    return case, {
        "alone": replace(alone, imports=extra.imports),
        "path": replace(alone, imports=extra.imports, path=name),
        "others, as comments": both,
        "others, as files": replace(both, path=name),
    }


def report(outcomes: Mapping[str, list[Outcome]], bits: Mapping[str, list[float]]) -> Report:
    """Means over the cases of each way (`lsp_server.commands.evaluation`), and bits per line; the first way is the
    peer.
    """
    rows = []
    alone = np.array(next(iter(bits.values())))
    for way, found in outcomes.items():
        scores = score(found)
        difference = np.array(bits[way]) - alone
        error = 1.96 * difference.std() / len(difference) ** 0.5
        rows.append(
            (
                way,
                100 * scores.exact_first_line,
                scores.matched_chars,
                100 * (scores.identifier_exact or 0.0),
                float(np.mean(bits[way])),
                f"{difference.mean():+.2f} ± {error:.2f}",
            )
        )
    columns = (
        "what the model reads",
        "exact first line, %",
        "matched characters",
        "identifier exact, %",
        "bits a line",
        "difference",
    )
    cases = len(next(iter(outcomes.values())))
    return Report("files", {**machine(), "cases": cases}, (Table("files", columns, tuple(rows)),), ())


if __name__ == "__main__":
    sys.exit(main())
