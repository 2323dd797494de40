"""Fits how sure a completion must be to be shown (`benchmarks.sureness`).

    python -m benchmarks.fit_sureness FOLDER... --out FILE [--model DIR] [--cases 600] [--cost 1.0] [--cost-by-hand 0.3]

Files must not have been trained on, nor be used to judge the model or the fit elsewhere. The operating points are those
that make the most of kept characters less ``cost`` times the wrong ones.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shown_places import Shown, complete, cuts, judge
from benchmarks.sureness import FEATURES, features
from engine import Completer
from lsp_server.code.confidence import DEFAULT_CONFIDENCE

PENALTY = 1.0
ROUNDS = 30


def main() -> None:
    """Complete at many places, fit, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cases", type=int, default=600, help="places in each language")
    parser.add_argument("--cost", type=float, default=1.0, help="of a wrong character, in kept ones, unasked")
    parser.add_argument("--cost-by-hand", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    completer = Completer.load(args.model)
    places = [
        judge(complete(completer, cut, DEFAULT_CONFIDENCE), cut) for cut in cuts(args.folders, args.cases, args.seed)
    ]
    shown = [place for place in places if place.completion is not None and place.code is not None]
    x = np.array([features(place.completion, place.code) for place in shown if place.completion and place.code])
    y = np.array([place.right for place in shown], np.float64)
    mean, scale, weights = fit(x.astype(np.float64), y)
    chances = 1.0 / (1.0 + np.exp(-((x - mean) / scale @ weights)))
    fitted = {
        "features": FEATURES,
        "mean": _plain(mean),
        "scale": _plain(scale),
        "weights": _plain(weights),
        "automatic": operating_point(chances, shown, args.cost),
        "by_hand": operating_point(chances, shown, args.cost_by_hand),
    }
    args.out.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    print(f"{len(places)} places, {len(shown)} shown, {y.mean():.1%} right; automatic {fitted['automatic']}, "
          f"by hand {fitted['by_hand']}")  # fmt: skip


def fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Mean, scale and weights (``[F]`` each) of a logistic regression on ``x`` (``[N, F]``), with a small penalty.

    The first feature is one everywhere, and neither moved nor penalised.
    """
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-3)
    mean[0], scale[0] = 0.0, 1.0
    z, weights = (x - mean) / scale, np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], PENALTY)
    penalty[0] = 1e-6
    for _ in range(ROUNDS):  # Newton's method
        chance = 1.0 / (1.0 + np.exp(-(z @ weights)))
        gradient = z.T @ (y - chance) - penalty * weights
        curvature = (z.T * (chance * (1.0 - chance))) @ z + np.diag(penalty)
        weights = weights + np.linalg.solve(curvature, gradient)
    return mean, scale, weights


def operating_point(chances: NDArray[np.float64], shown: Sequence[Shown], cost: float) -> float:
    """The least chance of being right at which something is shown, so that the sum of kept characters less ``cost``
    times the wrong ones is greatest.
    """
    order = np.argsort(-chances)
    worth = np.array([place.kept - cost * (place.characters - place.kept) for place in shown])[order]
    best = int(np.argmax(np.cumsum(worth)))
    return round(float(chances[order[best]]), 3)


def _plain(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 5) for value in values]


if __name__ == "__main__":
    main()
