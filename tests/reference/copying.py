"""The mixed law of `engine.copying`, from its formula."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray


def mixed_law(
    ids: Sequence[int],
    model: NDArray[np.float64],
    weights: Sequence[float],
    breaks: Collection[int],
    control: Collection[int],
) -> NDArray[np.float64]:
    """Probabilities ``[V]`` after ``ids``, where those of the model are ``model``."""
    last_break = max((at for at, token in enumerate(ids) if token in breaks), default=0)
    for length in range(len(weights), 0, -1):
        end = list(ids[-length:])
        if len(end) < length or end[-1] in control:
            continue
        followed = Counter(
            ids[at]
            for at in range(length, len(ids))
            if list(ids[at - length : at]) == end and at <= last_break and ids[at] not in control
        )
        if followed:
            copied = np.zeros_like(model)
            for token, count in followed.items():
                copied[token] = count / followed.total()
            return (1 - weights[length - 1]) * model + weights[length - 1] * copied
    return model
