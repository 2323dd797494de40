"""The mixed distribution of `engine.runtime.copy_mixture`, from its formula."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray


def mixed_distribution(
    ids: Sequence[int],
    model: NDArray[np.float64],
    weights: Sequence[float],
    source: Sequence[int],
    control: Collection[int],
) -> NDArray[np.float64]:
    """Probabilities ``[V]`` after ``ids``; ``model`` are those of the model alone."""
    for length in range(min(len(weights), len(ids)), 0, -1):
        end = list(ids[-length:])
        followed = Counter(
            source[at]
            for at in range(length, len(source))
            if list(source[at - length : at]) == end and source[at] not in control
        )
        if followed and ids[-1] not in control:
            copied = np.zeros_like(model)
            for token, count in followed.items():
                copied[token] = count / followed.total()
            return (1 - weights[length - 1]) * model + weights[length - 1] * copied
    return model
