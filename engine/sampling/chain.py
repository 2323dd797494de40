"""From `SamplingParams` to the function that chooses: temperature → truncation → draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.sampling.transforms import Transform, temperature, top_k, top_p
from engine.types import FloatArray


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses an index of a row of logits; ``generator`` None means greedy."""

    transforms: tuple[Transform, ...]
    generator: np.random.Generator | None

    def shape(self, logits: FloatArray) -> FloatArray:
        """The row after the pipeline, ``[N] float32``: what is drawn from."""
        for transform in self.transforms:
            logits = transform(logits)
        return logits

    def choose(self, logits: FloatArray, ids: NDArray[np.int32] | None = None) -> int:
        """Index into ``logits`` (``[N] float32``); greedy ties go to the lowest of ``ids`` (by default the index)."""
        return int(self.choose_distinct(logits, 1, ids)[0])

    def choose_distinct(self, logits: FloatArray, count: int, ids: NDArray[np.int32] | None = None) -> list[int]:
        """Up to ``count`` different indices, the one chosen first in front; fewer where the support is smaller.

        Greedy takes the largest; otherwise they are drawn one after the other without putting back, which for logits
        is taking the largest after adding Gumbel noise (Kool et al. 2019, arXiv 1903.06059).
        """
        shaped = self.shape(logits)
        if self.generator is not None:
            shaped = shaped + self.generator.gumbel(size=len(shaped)).astype(shaped.dtype)
        if count == 1:
            return [_argmax(shaped, ids)]
        support = np.flatnonzero(shaped > -np.inf)
        tie_break = support if ids is None else ids[support]
        order = np.lexsort((tie_break, -shaped[support]))
        return [int(index) for index in support[order[:count]]]


def build_chooser(params: SamplingParams) -> Chooser:
    """The pipeline of a request. The same seed gives the same draws; no seed gives fresh ones."""
    if params.strategy == "greedy" or params.temperature == 0.0:
        return Chooser((), None)
    transforms = [temperature(params.temperature)]
    if params.top_k:
        transforms.append(top_k(params.top_k))
    if params.top_p < 1.0:
        transforms.append(top_p(params.top_p))
    return Chooser(tuple(transforms), np.random.default_rng(params.seed))


def _argmax(row: FloatArray, ids: NDArray[np.int32] | None) -> int:
    best = int(np.argmax(row))
    if ids is None:
        return best
    ties = np.flatnonzero(row == row[best])
    return int(ties[np.argmin(ids[ties])])
