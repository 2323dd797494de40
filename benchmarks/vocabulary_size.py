"""What a half token costs, and what healing gets back, by the size of the vocabulary.

    python -m benchmarks.vocabulary_size 16384=CASES,RESULTS 49152=CASES,RESULTS 151936=CASES,RESULTS

RESULTS are those of `benchmarks.baselines`, one file a vocabulary, named by its size or any word. One row a vocabulary
and number of bytes typed of the token at the cursor: identifiers completed exactly with the prompt cut at the cursor
(``native``) and healed (``exact``), and what that adds, with its 95 % interval from paired draws. Only places that have
both results count.

With ``--superwords MODEL`` the places inside a token are also separated by what the token at the cursor is in MODEL's
vocabulary: one word or sign at most, or several (a superword, as ``return False`` or ``s.append(``).
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.arguments import parser_for
from benchmarks.baselines import OURS, PEER, Result, estimate, paired_difference, token_at_cursor
from benchmarks.plot_baselines import GROUPS, read_model
from engine import Completer, MidtokenError
from engine.text.tokenizer import Tokenizer
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches

_WORD = re.compile(rb"\w+|[^\w\s]+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit status 1 with one line where that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("vocabularies", nargs="+", metavar="NAME=CASES,RESULTS")
    parser.add_argument("--superwords", type=Path, metavar="MODEL", help="a model folder of this vocabulary")
    args = parser.parse_args(arguments)
    try:
        read = [read_model(each) for each in args.vocabularies]
        tokenizer = None if args.superwords is None else Completer.load(args.superwords).tokenizer
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        "| vocabulary | bytes typed | places | prompt cut at the cursor | healed | gained |\n|---|---|---|---|---|---|"
    )
    for name, cases, results in read:
        print("\n".join(rows(name, cases, results)))
        if tokenizer is not None:
            print("\n".join(superword_rows(name, cases, results, tokenizer)))
    return 0


def rows(name: str, cases: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> list[str]:
    """The lines of one vocabulary: all its places, then by the bytes typed."""
    both = _with_both(cases, results)
    found = [_row(name, "all", both, results)]
    for group in GROUPS:
        chosen = [case for case in both if group_of(results[case.id, OURS].typed_bytes) == group]
        found.append(_row(name, group, chosen, results))
    return [row for row in found if row]


def superword_rows(
    name: str, cases: Sequence[Case], results: Mapping[tuple[str, str], Result], tokenizer: Tokenizer
) -> list[str]:
    """The lines of one vocabulary: places inside a token of one word, and inside one of several."""
    groups: dict[str, list[Case]] = {"any, of one word": [], "any, of a superword": []}
    for case in _with_both(cases, results):
        token, typed = token_at_cursor(tokenizer, case)
        if typed:
            groups["any, of a superword" if len(_WORD.findall(token)) > 1 else "any, of one word"].append(case)
    return [row for group, chosen in groups.items() if (row := _row(name, group, chosen, results))]


def _with_both(cases: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> list[Case]:
    inside = [case for case in cases if case.inside_identifier]
    return [case for case in inside if (case.id, OURS) in results and (case.id, PEER) in results]


def _row(name: str, group: str, chosen: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> str:
    """One line; empty if there is no place."""
    if not chosen:
        return ""
    cut, healed = ([Outcome(case, results[case.id, mode].text, 0.0) for case in chosen] for mode in (PEER, OURS))
    shares = [f"{100 * estimate(outcomes, identifier_matches).mean:.0f} %" for outcomes in (cut, healed)]
    gain = paired_difference(healed, cut, identifier_matches)
    interval = f"{100 * gain.mean:+.0f} [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}]"
    return f"| {name} | {group} | {len(chosen)} | {' | '.join(shares)} | {interval} |"


def group_of(typed_bytes: int) -> str:
    """The group of `GROUPS` that a number of bytes is in."""
    return GROUPS[min(typed_bytes, len(GROUPS) - 1)]


if __name__ == "__main__":
    sys.exit(main())
