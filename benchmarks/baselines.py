"""Our healing against what other tools do, on the same model and the same places.

    python -m benchmarks.baselines CASES.jsonl --model MODEL --results build/qwen.jsonl

Every case is completed greedily, one line, under each mode. Each result is written to the file RESULTS at once, and an
interrupted run continues from it. The table has one row for each mode: first line exact, identifier exact, characters
that match, each with its 95 % interval from a bootstrap over cases, and the difference between ``exact`` and ``native``
from paired draws. More tables separate the places by where they are cut: at a token boundary of the whole text, or
inside a token, by how many of its bytes were typed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks.arguments import parser_for
from engine import (
    BASELINE_MODES,
    HEALING_MODES,
    Completer,
    CompletionRequest,
    DocumentError,
    HealingParams,
    MidtokenError,
    StopParams,
)
from engine.text.tokenizer import Tokenizer
from lsp_server.commands.evaluation import Case, Outcome, first_line, identifier_matches, matched_characters, read_cases
from lsp_server.commands.progress import progress_bar

MODES = ("off", *BASELINE_MODES, *HEALING_MODES[1:])
PEER = "native"
OURS = "exact"
MOST_TOKENS = 48
DRAWS = 2_000

Measure: TypeAlias = Callable[[Outcome], float]


@dataclass(frozen=True, slots=True)
class Result:
    """One completion, with its case, its mode, and how many bytes of the token at the cursor were typed.

    ``typed_bytes`` is 0 at a token boundary. ``bits`` is the surprise of the typed text under the model, if it was
    healed.
    """

    case: str
    mode: str
    text: str
    typed_bytes: int
    bits: float

    def as_json(self) -> str:
        """One line of the file of results."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Complete the missing cases, then print the tables; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("cases", type=Path, metavar="CASES.jsonl")
    parser.add_argument("--results", type=Path, required=True, help="file of results, begun or gone on with")
    parser.add_argument("--modes", default=",".join(MODES), help=f"of {','.join(MODES)} (default: all)")
    parser.add_argument("--places", type=int, metavar="N", help="only the first N cases (default: all)")
    args = parser.parse_args(arguments)
    try:
        modes = [HealingParams(mode=mode) for mode in args.modes.split(",")]
        cases = read_cases(args.cases.read_text(encoding="utf-8").split("\n"), str(args.cases))[: args.places]
        results = read_results(args.results)
        complete_missing(cases, modes, results, args)
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n\n".join(tables(cases, [mode.mode for mode in modes], results)))
    return 0


def read_results(path: Path) -> dict[tuple[str, str], Result]:
    """The results in a file, by case and mode; none if there is no file. Raises `DocumentError`."""
    if not path.exists():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DocumentError(f"line {number} of {path} is no result; delete the file to begin anew") from error
        found[result.case, result.mode] = result
    return found


def complete_missing(
    cases: Sequence[Case],
    modes: Sequence[HealingParams],
    results: dict[tuple[str, str], Result],
    args: argparse.Namespace,
) -> None:
    """Complete each case under each mode that has no result yet, and write the result to the file."""
    missing = [(case, mode) for case in cases for mode in modes if (case.id, mode.mode) not in results]
    if not missing:
        return
    completer = Completer.load(args.model)
    progress = progress_bar("baselines")
    args.results.parent.mkdir(parents=True, exist_ok=True)
    with args.results.open("a", encoding="utf-8") as stream:
        for number, (case, mode) in enumerate(missing, 1):
            result = complete(completer, case, mode)
            results[case.id, mode.mode] = result
            stream.write(result.as_json() + "\n")
            stream.flush()
            progress(number, len(missing))


def complete(completer: Completer, case: Case, mode: HealingParams) -> Result:
    """One greedy completion of a single line."""
    request = CompletionRequest(
        case.prefix,
        case.suffix,
        language=case.language or None,
        path=case.path,
        healing=mode,
        stop=StopParams(max_new_tokens=MOST_TOKENS),
    )
    found = completer.complete(request).completions
    bits = found[0].healing.surprise_bits if found else 0.0
    return Result(case.id, mode.mode, found[0].text if found else "", typed_bytes(completer, case), bits)


def typed_bytes(completer: Completer, case: Case) -> int:
    """How many bytes of the token at the cursor, in the encoding of the whole text, are before the cursor."""
    return token_at_cursor(completer.tokenizer, case)[1]


def token_at_cursor(tokenizer: Tokenizer, case: Case) -> tuple[bytes, int]:
    """The token at the cursor in the encoding of the whole text, and how many of its bytes are before the cursor."""
    cursor = len(case.prefix.encode())
    text = case.prefix + first_line(case.reference) + "\n"
    ids = tokenizer.encode(text)
    end = len(text.encode()) - len(tokenizer.vocabulary.bytes_of(ids))  # a space that the tokenizer puts in front
    for token in ids:
        start, end = end, end + len(tokenizer.vocabulary.token_bytes[token])
        if end > cursor:
            return tokenizer.vocabulary.token_bytes[token], cursor - start
    return b"", 0


def tables(cases: Sequence[Case], modes: Sequence[str], results: Mapping[tuple[str, str], Result]) -> list[str]:
    """A table of all cases, then one of those at token boundaries and one of each number of bytes typed."""
    shown = [_table("all places", cases, modes, results)]
    by_typed = {case.id: results[case.id, modes[0]].typed_bytes for case in cases}
    groups: dict[str, Callable[[int], bool]] = {
        "at a token boundary": lambda typed: typed == 0,
        "1 byte of the token typed": lambda typed: typed == 1,
        "2 bytes": lambda typed: typed == 2,
        "3 bytes or more": lambda typed: typed >= 3,
    }
    for title, belongs in groups.items():
        chosen = [case for case in cases if belongs(by_typed[case.id])]
        if chosen and len(chosen) < len(cases):
            shown.append(_table(title, chosen, modes, results))
    return shown


def _table(title: str, cases: Sequence[Case], modes: Sequence[str], results: Mapping[tuple[str, str], Result]) -> str:
    lines = [
        f"{title} ({len(cases)})",
        "| mode | first line | identifier | matched characters | bits of the typed text |",
    ]
    lines.append("|---|---|---|---|---|")
    outcomes = {mode: [Outcome(case, results[case.id, mode].text, 0.0) for case in cases] for mode in modes}
    inside = [case.inside_identifier for case in cases]
    for mode in modes:
        own = outcomes[mode]
        identifiers = [outcome for outcome, counts in zip(own, inside, strict=True) if counts]
        bits = [results[case.id, mode].bits for case in cases]
        finite = [value for value in bits if np.isfinite(value)]
        cells = [_share(own, line_is_exact), _share(identifiers, identifier_matches), _mean(own, matched)]
        lines.append(f"| {mode} | {' | '.join(cells)} | {np.mean(finite) if finite else 0.0:.1f} |")
    if PEER in modes and OURS in modes:
        gain = paired_difference(outcomes[OURS], outcomes[PEER], line_is_exact)
        lines.append(f"{OURS} minus {PEER}, first line: {gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]")
    return "\n".join(lines)


def line_is_exact(outcome: Outcome) -> float:
    """1 if the first line is that of the reference, else 0."""
    return float(first_line(outcome.text) == first_line(outcome.case.reference))


def matched(outcome: Outcome) -> float:
    """Number of leading characters that agree."""
    return float(matched_characters(outcome.text, outcome.case.reference))


def estimate(outcomes: Sequence[Outcome], measure: Measure) -> Estimate:
    """The mean of a measure, with a bootstrap over cases."""
    return bootstrap([float(measure(outcome)) for outcome in outcomes])


def paired_difference(ours: Sequence[Outcome], peer: Sequence[Outcome], measure: Measure) -> Estimate:
    """The mean difference of a measure over the same cases, with a bootstrap over pairs."""
    return bootstrap([float(measure(a)) - float(measure(b)) for a, b in zip(ours, peer, strict=True)])


def bootstrap(values: Sequence[float]) -> Estimate:
    """The mean of values, with its 95 % interval."""
    array = np.asarray(values)
    draws = np.random.default_rng(0).choice(array, (DRAWS, len(array))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(array.mean()), float(low), float(high))


def _share(outcomes: Iterable[Outcome], measure: Measure) -> str:
    found = list(outcomes)
    if not found:
        return "-"
    share = estimate(found, measure)
    return f"{share.mean:.1%} [{share.low:.0%}, {share.high:.0%}]"


def _mean(outcomes: Sequence[Outcome], measure: Measure) -> str:
    mean = estimate(outcomes, measure)
    return f"{mean.mean:.1f} [{mean.low:.1f}, {mean.high:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
