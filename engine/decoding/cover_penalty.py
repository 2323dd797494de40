"""Penalties on the healed first step, whose row has an entry for each cover, not for each vocabulary entry."""

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.healing.k_step import FirstStep
from engine.sampling import Transform, build_penalties, repeated_after, repetition_penalty
from engine.types import FloatArray, IdArray


def cover_penalty(params: SamplingParams, first: FirstStep, prompt: IdArray, tail: int) -> Transform | None:
    """The penalties as a function on the row of covers; None if there are none.

    A cover's token is penalised only for the tokens before the tail, because the cover writes the tail again. Nothing
    is written yet, so frequency and presence penalties do not apply.
    """
    if not build_penalties(params):
        return None
    seen = np.flatnonzero(np.isin(first.ids, prompt[: len(prompt) - tail]))
    banned = _banned_covers(params, first, prompt)

    def apply(logits: FloatArray) -> FloatArray:
        shaped = repetition_penalty(seen.tolist(), params.repetition_penalty)(logits)
        shaped[banned] = -np.inf
        return shaped if np.isfinite(shaped.max()) else logits

    return apply


def _banned_covers(params: SamplingParams, first: FirstStep, prompt: IdArray) -> NDArray[np.intp]:
    found, start = [], 0
    for group in first.groups:
        if params.no_repeat_ngram:
            history = (*prompt[: group.kept].tolist(), *group.extra)
            repeated = np.array(sorted(repeated_after(history, params.no_repeat_ngram)), np.int32)
            found.append(start + np.flatnonzero(np.isin(group.ids, repeated)))
        start += len(group.ids)
    return np.concatenate(found) if found else np.zeros(0, np.intp)
