"""Basis-aware truncation: below a threshold, a token may be drawn only if the model must mean it.

A language model writes the logits of V tokens with far fewer numbers, so its distribution p_hat is off by what those
cannot express. Training leaves it right in one respect: ``E' p = E' p_hat`` holds for the true p and the output
embedding E. A token is certainly possible if no p that satisfies this, and that p_hat does not overestimate too much,
gives it probability 0; which is a linear program. Finlayson et al. 2023, arXiv 2310.01693.

Where we differ: E is reduced to the c leading left singular vectors, as in the paper, but the program is solved over
the columns that matter, chosen by how much they can contribute, until a certificate holds for all V of them: the
answer is the same as over all. After ``RETRIES`` refused draws the most probable token is taken.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import RequestError
from engine.sampling.rows import log_softmax
from engine.types import FloatArray

RETRIES = 10
_COLUMNS = 256
"""Columns that the program starts with, and that join it in each round."""
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class BasisAware:
    """The rule with its basis, ``[V, c] float32``, orthonormal columns; ``threshold`` is epsilon, 0 < epsilon < 1."""

    basis: FloatArray
    threshold: float

    def draw(self, logits: FloatArray, before: FloatArray, generator: np.random.Generator) -> int:
        """An index of ``logits`` (``[V]``), drawn without putting back what is refused.

        ``before`` is the row before other truncations: the program is about the whole distribution.
        """
        probabilities = np.exp(log_softmax(before.astype(np.float64)))
        left = np.exp(log_softmax(logits.astype(np.float64)))
        for _ in range(RETRIES):
            token = int(generator.choice(len(left), p=left / left.sum()))
            if self.accepts(probabilities, token):
                return token
            left[token] = 0.0
            if not left.any():
                break
        return int(np.argmax(logits))

    def accepts(self, probabilities: NDArray[np.float64], token: int) -> bool:
        """Whether ``token`` may be drawn from ``probabilities`` (``[V]``, summing to one).

        With no column in the basis this is epsilon sampling: accepted iff its probability is at least the threshold.
        Raises `RequestError` where scipy is not installed.
        """
        if probabilities[token] >= self.threshold:
            return True
        if probabilities[token] <= 0.0:
            return False
        return not _can_be_without(token, probabilities, self.basis, self.threshold)


def require_scipy() -> Any:
    """``scipy.optimize.linprog``. Raises `RequestError` where scipy, an optional dependency, is not installed."""
    try:
        from scipy.optimize import linprog
    except ImportError:
        raise RequestError("bat needs scipy; install Midtoken with its 'bat' extra") from None
    return linprog


def _can_be_without(token: int, probabilities: NDArray[np.float64], basis: FloatArray, threshold: float) -> bool:
    """Whether some p within the constraints has ``p[token] = 0``: whether the program is feasible.

    Written in ``d = (p - p_hat) / p_hat[token]``: the mass that the token sets free, 1, is taken up by the others
    within their bounds, and the moments ``E' d`` stay 0. So every number in the program is of order one, which the
    solver's absolute tolerances need.
    """
    scale = 1.0 / probabilities[token]
    low = -probabilities * scale
    high = probabilities * (scale * threshold / (1.0 - threshold))
    low[token] = high[token] = 0.0
    # [c + 1, V]; the rows of an orthonormal basis are of size 1 / sqrt(V).
    columns = np.vstack([np.ones(len(probabilities)), basis.T.astype(np.float64) * len(probabilities) ** 0.5])
    target = columns[:, token].copy()
    # The most that a column can add to the moments' balance: a bound on what it may change.
    chosen = _largest(high, _COLUMNS)
    while True:
        missing, prices = _closest(columns[:, chosen], target, low[chosen], high[chosen])
        if missing <= _TOLERANCE:
            return True
        gains = prices @ columns  # [V]
        reach = np.maximum(gains * high, gains * low)
        # Farkas: these prices ask more of the columns together than all of them can give.
        if float(prices @ target) > reach.sum() + _TOLERANCE or len(chosen) == len(probabilities):
            return False
        reach[chosen] = -np.inf
        more = _largest(reach, min(len(chosen), len(probabilities) - len(chosen)))
        chosen = np.concatenate([chosen, more])


def _closest(
    columns: NDArray[np.float64], target: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """How far ``columns @ d`` stays from ``target`` (sum of absolute differences), and the prices of its rows."""
    rows = len(target)
    slack = np.hstack([np.eye(rows), -np.eye(rows)])
    cost = np.concatenate([np.zeros(columns.shape[1]), np.ones(2 * rows)])
    bounds = np.column_stack([np.concatenate([low, np.zeros(2 * rows)]), np.append(high, np.full(2 * rows, np.inf))])
    found = require_scipy()(cost, A_eq=np.hstack([columns, slack]), b_eq=target, bounds=bounds, method="highs")
    assert found.status == 0, "the program is feasible and bounded by construction"
    return float(found.fun), np.asarray(found.eqlin.marginals, np.float64)


def _largest(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    if count >= len(values):
        return np.arange(len(values))
    found: NDArray[np.intp] = np.argpartition(-values, count)[:count]
    return found
