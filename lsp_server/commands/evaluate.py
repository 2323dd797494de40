"""``midtoken evaluate``: completes every case of a file under each healing mode and scores the results."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine import BASELINE_MODES, HEALING_MODES, Completer, CompletionRequest, HealingParams
from lsp_server.commands.complete import read_document
from lsp_server.commands.evaluation import Case, Outcome, Scores, read_cases, score
from lsp_server.commands.options import (
    add_completion_options,
    add_model_options,
    load_completer,
    set_example,
    stop_params,
    use_environment,
)
from lsp_server.commands.progress import progress_bar
from lsp_server.commands.sampling_options import sampling_params


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken evaluate cases.jsonl --healing off,exact --json")
    parser.add_argument(
        "cases",
        type=Path,
        metavar="CASES.jsonl",
        help="one JSON object a line: prefix and reference, also id, suffix, language, path; - is standard input",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    modes = ",".join(HEALING_MODES)
    parser.add_argument(
        "--healing",
        metavar="MODES",
        help=f"modes to compare, with commas (default: {modes}); of other tools: {', '.join(BASELINE_MODES)}",
    )
    add_completion_options(parser)
    add_model_options(parser)
    use_environment(parser)
    parser.set_defaults(run=run, healing=modes)  # all modes are compared, whatever the environment says


def run(args: argparse.Namespace) -> int:
    """Print a table, one row a mode."""
    modes = [HealingParams(mode=mode) for mode in args.healing.split(",")]
    cases = read_cases(read_document(args.cases).split("\n"), str(args.cases))
    request = CompletionRequest(
        "",
        sampling=sampling_params(args),
        stop=stop_params(args),
        budget_ms=args.budget_ms,
        speculation=args.speculation,
    )
    completer = load_completer(args)
    scores = {params.mode: evaluate(completer, cases, replace(request, healing=params)) for params in modes}
    if args.json:
        print(json.dumps({mode: asdict(row) for mode, row in scores.items()}))
    else:
        print(table(scores))
    return 0


def evaluate(completer: Completer, cases: list[Case], request: CompletionRequest) -> Scores:
    """Complete every case with the parameters of ``request``; progress on a terminal."""
    outcomes = []
    progress = progress_bar(request.healing.mode)
    for number, case in enumerate(cases, 1):
        cut = replace(request, prefix=case.prefix, suffix=case.suffix, language=case.language, path=case.path)
        result = completer.complete(cut)
        text = result.completions[0].text if result.completions else ""
        outcomes.append(Outcome(case, text, result.timing.total_ms))
        progress(number, len(cases))
    return score(outcomes)


def table(scores: dict[Any, Scores]) -> str:
    """The scores as aligned columns."""
    names = list(asdict(next(iter(scores.values()))))
    rows = [["healing", *names]]
    for mode, row in scores.items():
        rows.append([mode, *(_shown(value) for value in asdict(row).values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
