"""The picture of `benchmarks.baselines`: what each mode completes, on several models.

    python -m benchmarks.plot_baselines OUT.svg "Qwen2.5-Coder-0.5B=CASES.jsonl,RESULTS.jsonl" [NAME=CASES,RESULTS ...]

On the left is the share of places inside identifiers whose identifier is completed exactly, one group of bars for each
model. On the right is that share for the first model, by the typed bytes of the token at the cursor. Needs matplotlib.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import parser_for
from benchmarks.baselines import MODES, Estimate, Result, estimate, read_results
from engine import DocumentError, MidtokenError
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches, read_cases

COLOURS: Mapping[str, str] = {
    "off": "#c8c8c8",
    "native": "#999999",
    "constrained": "#e0a050",
    "k-step": "#7aa6d8",
    "exact": "#2a9d5c",
}
LABELS: Mapping[str, str] = {
    "off": "no healing",
    "native": "prompt cut at the cursor",
    "constrained": "constrained decoding",
    "k-step": "fixed steps back",
    "exact": "Midtoken",
}
GROUPS = ("0", "1", "2", "3", "4+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.svg")
    parser.add_argument("models", nargs="+", metavar="NAME=CASES,RESULTS")
    args = parser.parse_args(arguments)
    try:
        shares = {name: shares_of(cases, results) for name, cases, results in map(read_model, args.models)}
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    draw(shares, args.out)
    return 0


def read_model(argument: str) -> tuple[str, list[Case], dict[tuple[str, str], Result]]:
    """The name, cases and results of one argument; more pairs of files are taken together. Raises `DocumentError` if it
    is not one, or if two cases have one id.
    """
    name, _, rest = argument.partition("=")
    files = rest.split(",")
    if not name or len(files) % 2 or not all(files):
        raise DocumentError(f"{argument!r} is not NAME=CASES,RESULTS")
    cases: list[Case] = []
    results: dict[tuple[str, str], Result] = {}
    for path, answers in zip(files[::2], files[1::2], strict=True):
        cases += read_cases(Path(path).read_text(encoding="utf-8").split("\n"), path)
        results |= read_results(Path(answers))
    if len({case.id for case in cases}) < len(cases):
        raise DocumentError(f"the cases of {name} have ids in common; give each set a name of its own")
    return name, cases, results


def shares_of(cases: Sequence[Case], results: Mapping[tuple[str, str], Result]) -> dict[str, dict[str, Estimate]]:
    """By mode: the share of identifiers completed exactly, over all places (``all``) and by bytes typed (`GROUPS`).

    Only places count that every mode has completed, because a run may have been interrupted.
    """
    found: dict[str, dict[str, Estimate]] = {}
    modes = [mode for mode in MODES if any(done == mode for _, done in results)]
    inside = [case for case in cases if case.inside_identifier and all((case.id, mode) in results for mode in modes)]
    for mode in modes:
        done = [(case, results[case.id, mode]) for case in inside]
        if not done:
            continue
        groups = {"all": [Outcome(case, result.text, 0.0) for case, result in done]}
        for case, result in done:
            group = GROUPS[min(result.typed_bytes, len(GROUPS) - 1)]
            groups.setdefault(group, []).append(Outcome(case, result.text, 0.0))
        found[mode] = {name: estimate(outcomes, identifier_matches) for name, outcomes in groups.items()}
    return found


def draw(shares: Mapping[str, dict[str, dict[str, Estimate]]], out: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "midtoken", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=[3, 2], layout="constrained")
    first = next(iter(shares))
    _bars(left, {name: {mode: groups["all"] for mode, groups in modes.items()} for name, modes in shares.items()})
    left.set_title("identifiers completed exactly, % (95 % interval)", fontsize=10)
    by_typed = {
        group: {mode: groups[group] for mode, groups in shares[first].items() if group in groups} for group in GROUPS
    }
    _bars(right, {group: modes for group, modes in by_typed.items() if modes})
    right.set_title(f"{first}: by bytes of the token typed", fontsize=10)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.savefig(out, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axes: Any, groups: Mapping[str, Mapping[str, Estimate]]) -> None:
    modes = [mode for mode in MODES if any(mode in found for found in groups.values())]
    width = 0.8 / len(modes)
    for place, mode in enumerate(modes):
        at = [number + place * width for number, found in enumerate(groups.values()) if mode in found]
        found = [estimates[mode] for estimates in groups.values() if mode in estimates]
        heights = [100 * each.mean for each in found]
        errors = [[100 * (each.mean - each.low) for each in found], [100 * (each.high - each.mean) for each in found]]
        axes.bar(at, heights, width, yerr=errors, color=COLOURS[mode], label=LABELS[mode], error_kw={"linewidth": 0.8})
    axes.set_xticks([number + 0.4 - width / 2 for number in range(len(groups))], list(groups))
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
