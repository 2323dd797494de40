"""Basis-aware truncation: below a threshold, a token may be drawn only if its true probability must be positive.

A language model computes the logits of V tokens from far fewer numbers, so its distribution p_hat has an error.
Training makes it right in one respect: ``E' p = E' p_hat`` holds for the true p and the output embedding E. A token is
certainly possible if no p that satisfies this, and whose distance from p_hat is bounded, gives it probability 0.
Whether such a p exists is a linear program. Finlayson et al. 2023, arXiv 2310.01693.

Where we differ: E is reduced to the c leading left singular vectors, as in the paper, but the program is solved over
the columns that can contribute most, and over more of them until a certificate holds for all V, so the answer is the
same as over all. Columns are added to the running solver, which continues from its last solution. After ``RETRIES``
refused draws, the most probable token is taken.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import RequestError
from engine.sampling.rows import log_softmax
from engine.types import FloatArray

RETRIES = 10
_COLUMNS = 256
"""Columns that the program starts with; each round doubles them."""
_TOLERANCE = 1e-6

_Matrix: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BasisAware:
    """The rule with its basis, ``[V, c] float32`` with orthonormal columns; ``threshold`` is epsilon, in (0, 1)."""

    basis: FloatArray
    threshold: float
    _columns: _Matrix = field(init=False)

    def __post_init__(self) -> None:
        # [c + 1, V]; the rows of an orthonormal basis are of size 1 / sqrt(V).
        moments = self.basis.T.astype(np.float64) * len(self.basis) ** 0.5
        object.__setattr__(self, "_columns", np.vstack([np.ones(len(self.basis)), moments]))

    def draw(self, logits: FloatArray, before: FloatArray, generator: np.random.Generator) -> int:
        """An index of ``logits`` (``[V]``). Refused tokens are not drawn again.

        ``before`` is the row before other truncations, because the program needs the whole distribution.
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

    def accepts(self, probabilities: _Matrix, token: int) -> bool:
        """Whether ``token`` may be drawn from ``probabilities`` (``[V]``, summing to one).

        If the basis has no columns, this is epsilon sampling: a token is accepted if its probability is at least the
        threshold. Raises `RequestError` if highspy is not installed.
        """
        if probabilities[token] >= self.threshold:
            return True
        if probabilities[token] <= 0.0:
            return False
        return not _can_be_without(token, probabilities, self._columns, self.threshold)


def require_highs() -> Any:
    """The module ``highspy``, an optional dependency. Raises `RequestError` if it is not installed."""
    try:
        import highspy
    except ImportError as error:
        raise RequestError("bat needs highspy; install Midtoken with its 'bat' extra") from error
    return highspy


def _can_be_without(token: int, probabilities: _Matrix, columns: _Matrix, threshold: float) -> bool:
    """Whether some p within the constraints has ``p[token] = 0``, that is, whether the program is feasible.

    The program is written in ``d = (p - p_hat) / p_hat[token]``: the other tokens take up the probability that the
    token gives up, which is 1 in this unit, within their bounds, and the moments ``E' d`` stay 0. So every number in
    the program is of order one, as the solver's absolute tolerances need.
    """
    scale = 1.0 / probabilities[token]
    low = -probabilities * scale
    high = probabilities * (scale * threshold / (1.0 - threshold))
    low[token] = high[token] = 0.0
    target = columns[:, token].copy()
    # The most that a column can add to the moments' balance: a bound on what it may change.
    chosen = _largest(high, _COLUMNS)
    program = _Program(target)
    program.add(columns[:, chosen], low[chosen], high[chosen])
    while True:
        missing, prices = program.solve()
        if missing <= _TOLERANCE:
            return True
        gains = prices @ columns  # [V]
        reach = np.maximum(gains * high, gains * low)
        # Farkas' lemma: by these prices, all columns together cannot reach the target.
        if float(prices @ target) > reach.sum() + _TOLERANCE or len(chosen) == len(probabilities):
            return False
        reach[chosen] = -np.inf
        more = _largest(reach, min(len(chosen), len(probabilities) - len(chosen)))
        program.add(columns[:, more], low[more], high[more])
        chosen = np.concatenate([chosen, more])


class _Program:
    """Minimises the sum of absolute differences between ``columns @ d`` and ``target``. Columns can be added; it then
    continues from its last solution.
    """

    def __init__(self, target: _Matrix) -> None:
        highs = require_highs()
        self._rows = len(target)
        self._highs = highs.Highs()
        for option, value in (("output_flag", False), ("presolve", "off"), ("solver", "simplex"), ("threads", 1)):
            self._highs.setOptionValue(option, value)
        nothing = np.zeros(0)
        self._highs.addRows(self._rows, target, target, 0, np.zeros(self._rows, np.int32), nothing, nothing)
        slack = np.hstack([np.eye(self._rows), -np.eye(self._rows)])
        self.add(slack, np.zeros(2 * self._rows), np.full(2 * self._rows, highs.kHighsInf), cost=1.0)

    def add(self, columns: _Matrix, low: _Matrix, high: _Matrix, *, cost: float = 0.0) -> None:
        """Let the program use ``columns`` (``[rows, n]``) between ``low`` and ``high``."""
        rows, count = columns.shape
        starts = np.arange(0, rows * count, rows, dtype=np.int32)
        indices = np.tile(np.arange(rows, dtype=np.int32), count)
        values = np.ascontiguousarray(columns.T).ravel()
        self._highs.addCols(count, np.full(count, cost), low, high, rows * count, starts, indices, values)

    def solve(self) -> tuple[float, _Matrix]:
        """The remaining difference, and the prices (dual values) of the rows."""
        self._highs.run()
        status = self._highs.getModelStatus()
        assert status == require_highs().HighsModelStatus.kOptimal, "it is feasible and bounded by construction"
        missing = float(self._highs.getInfo().objective_function_value)
        return missing, np.asarray(self._highs.getSolution().row_dual, np.float64)


def _largest(values: _Matrix, count: int) -> NDArray[np.intp]:
    if count >= len(values):
        return np.arange(len(values))
    found: NDArray[np.intp] = np.argpartition(-values, count)[:count]
    return found
