"""What a half token costs, and what healing gets back, by the size of the vocabulary.

    python -m benchmarks.vocabulary_size 16384=CASES,RESULTS 49152=CASES,RESULTS 151936=CASES,RESULTS

RESULTS are those of `benchmarks.baselines`, one file a vocabulary, named by its size or any word. One row a vocabulary
and number of bytes typed of the token at the cursor: identifiers completed exactly with the prompt cut at the cursor
(``native``) and healed (``exact``), and what that adds, with its 95 % interval from paired draws. Only places that have
both results count.
"""

import sys
from collections.abc import Mapping, Sequence

from benchmarks.arguments import parser_for
from benchmarks.baselines import OURS, PEER, Result, estimate, paired_difference
from benchmarks.plot_baselines import GROUPS, read_model
from engine import MidtokenError
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit status 1 with one line where that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("vocabularies", nargs="+", metavar="NAME=CASES,RESULTS")
    args = parser.parse_args(arguments)
    try:
        read = [read_model(each) for each in args.vocabularies]
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        "| vocabulary | bytes typed | places | prompt cut at the cursor | healed | gained |\n|---|---|---|---|---|---|"
    )
    for name, cases, results in read:
        print("\n".join(rows(name, cases, results)))
    return 0


def rows(name: str, cases: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> list[str]:
    """The lines of one vocabulary: all its places, then by the bytes typed."""
    inside = [case for case in cases if case.inside_identifier]
    both = [case for case in inside if (case.id, OURS) in results and (case.id, PEER) in results]
    found = []
    for group in ("all", *GROUPS):
        chosen = [case for case in both if group in ("all", group_of(results[case.id, OURS].typed_bytes))]
        if chosen:
            cut, healed = (
                [Outcome(case, results[case.id, mode].text, 0.0) for case in chosen] for mode in (PEER, OURS)
            )
            shares = [f"{100 * estimate(outcomes, identifier_matches).mean:.0f} %" for outcomes in (cut, healed)]
            gain = paired_difference(healed, cut, identifier_matches)
            interval = f"{100 * gain.mean:+.0f} [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}]"
            found.append(f"| {name} | {group} | {len(chosen)} | {' | '.join(shares)} | {interval} |")
    return found


def group_of(typed_bytes: int) -> str:
    """The group of `GROUPS` that a number of bytes is in."""
    return GROUPS[min(typed_bytes, len(GROUPS) - 1)]


if __name__ == "__main__":
    sys.exit(main())
