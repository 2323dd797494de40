"""What a half token costs, and what healing gets back, by the size of the vocabulary.

    python -m benchmarks.vocabulary_size 16384=CASES,RESULTS 49152=CASES,RESULTS 151936=CASES,RESULTS

RESULTS are those of `benchmarks.baselines`, one file a vocabulary (or ``CASES,RESULTS,CASES,RESULTS`` of several sets),
named by its size or any word. One row a vocabulary
and number of bytes typed of the token at the cursor: identifiers completed exactly with the prompt cut at the cursor
(``native``) and healed (``exact``), and what that adds, with its 95 % interval from paired draws. Only places that have
both results count. A second table has the loss and the gain per byte of the token typed, as `benchmarks.per_byte`
defines them: one line a vocabulary.

With ``--superwords NAME=MODEL`` the places of vocabulary NAME that are inside a token are also separated by what that
token is in MODEL's vocabulary: one word or sign at most, or several (a superword, as ``return False`` or
``s.append(``). With ``--plot OUT.svg`` the shares by bytes typed are drawn too (`benchmarks.plot_vocabulary_size`).
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import per_byte, plot_vocabulary_size
from benchmarks.arguments import parser_for
from benchmarks.baselines import OURS, PEER, Result, estimate, paired_difference, token_at_cursor
from benchmarks.plot_baselines import GROUPS, read_model
from engine import Completer, DocumentError, MidtokenError
from engine.text.tokenizer import Tokenizer
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches

HEAD = "| vocabulary | bytes typed | places | prompt cut at the cursor | healed | gained |\n|---|---|---|---|---|---|"
_WORD = re.compile(rb"\w+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Places:
    """Places of one vocabulary that have both results, all of them or those in one kind of token (``token``)."""

    name: str
    token: str
    cases: Sequence[Case]
    results: Mapping[tuple[str, str], Result]

    @property
    def title(self) -> str:
        """The vocabulary, and the kind of token if it is one."""
        return self.name if self.token == "any" else f"{self.name}, {self.token}"

    def row(self, group: str, chosen: Sequence[Case]) -> str:
        """One line of the first table; empty if there is no place."""
        if not chosen:
            return ""
        cut, healed = (
            [Outcome(case, self.results[case.id, mode].text, 0.0) for case in chosen] for mode in (PEER, OURS)
        )
        shares = [f"{100 * estimate(outcomes, identifier_matches).mean:.0f} %" for outcomes in (cut, healed)]
        gain = paired_difference(healed, cut, identifier_matches)
        interval = f"{100 * gain.mean:+.0f} [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}]"
        return f"| {self.name} | {group} | {len(chosen)} | {' | '.join(shares)} | {interval} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit status 1 with one line where that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("vocabularies", nargs="+", metavar="NAME=CASES,RESULTS")
    parser.add_argument("--superwords", metavar="NAME=MODEL", help="the model folder of one of the vocabularies")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw it too (needs matplotlib)")
    args = parser.parse_args(arguments)
    try:
        places = read_places(args)
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(HEAD)
    for each in places:
        print("\n".join(rows(each) if each.token == "any" else [each.row(f"any, {each.token}", each.cases)]))
    print("\n" + per_byte.HEAD)
    for each in places:
        if found := per_byte.per_byte(each.cases, each.results):
            print(found.row(each.name, each.token))
    if args.plot is not None:
        curves = {each.title: (each.cases, each.results) for each in places}
        plot_vocabulary_size.draw(curves, args.plot)
    return 0


def read_places(args: argparse.Namespace) -> list[Places]:
    """The places of every vocabulary, those of one with superwords also by kind of token. Raises `MidtokenError`."""
    named, _, folder = (args.superwords or "").partition("=")
    if args.superwords and not folder:
        raise DocumentError(f"--superwords is {args.superwords!r}; it must be NAME=MODEL")
    tokenizer = Completer.load(Path(folder)).tokenizer if folder else None
    found = []
    for name, cases, results in map(read_model, args.vocabularies):
        both = [case for case in cases if case.inside_identifier and {OURS, PEER} <= _modes(case, results)]
        found.append(Places(name, "any", both, results))
        if tokenizer is not None and name == named:
            tokens = by_token(both, tokenizer)
            found += [Places(name, token, chosen, results) for token, chosen in tokens.items() if chosen]
    return found


def rows(places: Places) -> list[str]:
    """The lines of one vocabulary: all its places, then by the bytes typed."""
    found = [places.row("all", places.cases)]
    for group in GROUPS:
        chosen = [case for case in places.cases if group_of(places.results[case.id, OURS].typed_bytes) == group]
        found.append(places.row(group, chosen))
    return [row for row in found if row]


def by_token(cases: Sequence[Case], tokenizer: Tokenizer) -> dict[str, list[Case]]:
    """The places inside a token of one word, and those inside one of several."""
    groups: dict[str, list[Case]] = {"of one word": [], "of a superword": []}
    for case in cases:
        token, typed = token_at_cursor(tokenizer, case)
        if typed:
            groups["of a superword" if len(_WORD.findall(token)) > 1 else "of one word"].append(case)
    return groups


def group_of(typed_bytes: int) -> str:
    """The group of `GROUPS` that a number of bytes is in."""
    return GROUPS[min(typed_bytes, len(GROUPS) - 1)]


def _modes(case: Case, results: Mapping[tuple[str, str], Result]) -> set[str]:
    return {mode for mode in (OURS, PEER) if (case.id, mode) in results}


if __name__ == "__main__":
    sys.exit(main())
