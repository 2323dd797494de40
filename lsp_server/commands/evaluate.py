"""``midtoken evaluate``: completes every case of a file under each healing mode and scores the results."""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine import HEALING_MODES, Completer, CompletionRequest, HealingParams
from lsp_server.commands.complete import read_document
from lsp_server.commands.options import (
    add_command,
    add_completion_options,
    add_model_options,
    load_completer,
    sampling_params,
    stop_params,
)
from lsp_server.evaluation import Case, Outcome, Scores, read_cases, score


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "evaluate", "score completions of many cases", "midtoken evaluate cases.jsonl --healing off,exact"
    )
    parser.add_argument(
        "cases", type=Path, metavar="CASES.jsonl", help="one JSON object a line: prefix, reference, ..."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_completion_options(parser, healing_default=",".join(HEALING_MODES))
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table, one row a mode."""
    modes = [HealingParams(mode=mode) for mode in args.healing.split(",")]
    cases = read_cases(read_document(args.cases).split("\n"), str(args.cases))
    request = CompletionRequest("", sampling=sampling_params(args), stop=stop_params(args), budget_ms=args.budget_ms)
    completer = load_completer(args, lambda line: print(f"midtoken: {line}", file=sys.stderr))
    scores = {params.mode: evaluate(completer, cases, replace(request, healing=params)) for params in modes}
    if args.json:
        print(json.dumps({mode: asdict(row) for mode, row in scores.items()}))
    else:
        print(table(scores))
    return 0


def evaluate(completer: Completer, cases: list[Case], request: CompletionRequest) -> Scores:
    """Complete every case with the parameters of ``request``; progress on a terminal."""
    outcomes = []
    for number, case in enumerate(cases, 1):
        result = completer.complete(replace(request, prefix=case.prefix, suffix=case.suffix, language=case.language))
        text = result.completions[0].text if result.completions else ""
        outcomes.append(Outcome(case, text, result.timing.total_ms))
        _progress(request.healing.mode, number, len(cases))
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


def _progress(mode: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{mode}: {done}/{total}", end=end, file=sys.stderr, flush=True)
