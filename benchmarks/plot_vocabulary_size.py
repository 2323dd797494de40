"""The picture of `benchmarks.vocabulary_size`: identifiers completed exactly, by the bytes typed of the token.

One panel for each vocabulary or kind of token, with the prompt cut at the cursor and healed. Bars are 95 % intervals;
the number of places is below each point. Needs matplotlib.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.baselines import OURS, PEER, Result
from benchmarks.plot_baselines import COLOURS, GROUPS, LABELS, shares_of
from lsp_server.commands.evaluation import Case

Curve: TypeAlias = tuple[Sequence[Case], Mapping[tuple[str, str], Result]]
_MARKS: Mapping[str, str] = {PEER: "o--", OURS: "s-"}


def draw(curves: Mapping[str, Curve], out: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "midtoken", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(curves), figsize=(3 * len(curves), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, (title, curve) in zip(axes[0], curves.items(), strict=True):
        _panel(panel, title, curve)
    figure.supxlabel("bytes typed of the token at the cursor (places)", fontsize=9)
    figure.supylabel("identifiers completed exactly, %", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    figure.savefig(out, metadata={"Date": None})
    pyplot.close(figure)


def _panel(axes: Any, title: str, curve: Curve) -> None:
    cases, results = curve
    counts = dict.fromkeys(GROUPS, 0)
    for case in cases:
        counts[GROUPS[min(results[case.id, OURS].typed_bytes, len(GROUPS) - 1)]] += 1
    shown = [group for group in GROUPS if counts[group]]
    both = {key: result for key, result in results.items() if key[1] in _MARKS}
    for mode, groups in shares_of(cases, both).items():
        found = [groups[group] for group in shown]
        heights = [100 * each.mean for each in found]
        below = [100 * (each.mean - each.low) for each in found]
        above = [100 * (each.high - each.mean) for each in found]
        style = {"fmt": _MARKS[mode], "color": COLOURS[mode], "label": LABELS[mode], "capsize": 2}
        axes.errorbar(range(len(shown)), heights, [below, above], **style)
    axes.set_xticks(range(len(shown)), [f"{group}\n({counts[group]})" for group in shown], fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.set_ylim(-3, 103)
    axes.spines[["top", "right"]].set_visible(False)
