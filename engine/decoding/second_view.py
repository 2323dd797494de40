"""The model beside itself: the same tokens after a prompt that holds less context, for KL-guided temperature."""

from dataclasses import dataclass

import numpy as np

from engine.decoding.candidates import Decoder
from engine.healing.k_step import CoverGroup, FirstStep
from engine.runtime.token_cache import TokenCache
from engine.sampling import History
from engine.types import FloatArray, IdArray, TokenIds


@dataclass(frozen=True, slots=True)
class SecondView:
    """The model without the retrieved context: a second prompt, which follows that of ``decoder``.

    Both prompts end in the same ``tail_length`` tokens. ``first_row`` is the healed first step without the context,
    over the same covers; None where the two do not match. ``cache`` is that of ``decoder``, which then runs both
    prompts as one batch (`Decoder.companion`), or another where a session holds one sequence.
    """

    cache: TokenCache
    prompt: IdArray
    decoder: Decoder
    tail_length: int
    first_row: FloatArray | None

    def beside(self, ids: IdArray) -> IdArray | None:
        """The sequence that ends as ``ids`` do after the second prompt; None where it is too long for the cache."""
        start = self.prompt[: len(self.prompt) - self.tail_length]
        other = np.concatenate([start, ids[len(self.decoder.prompt) - self.tail_length :]])
        return other if len(other) <= self.cache.capacity else None

    def __call__(self, history: History) -> FloatArray | None:
        """The logits after the same tokens, ``[V]``; over covers where nothing is written yet."""
        if not history.written:
            return self.first_row
        ids = self.beside(np.concatenate([history.before, np.array(history.written, np.int32)]))
        if ids is None:
            return None
        return self.cache.row_after(ids, self.decoder.checkpoint)[: self.decoder.vocabulary.size]


def matching_row(first: FirstStep, base: int, other: FirstStep, other_base: int) -> FloatArray | None:
    """The log-probabilities of ``other`` in the order of ``first``, ``[N]``; None if their covers are not the same.

    ``base`` and ``other_base`` are the lengths of the two prompts without the tail that they share.
    """

    def key(group: CoverGroup, start: int) -> tuple[int, TokenIds, int, int]:
        return (group.kept - start, group.extra, group.typed, len(group.ids))

    groups = {key(group, other_base): group for group in other.groups}
    try:
        return np.concatenate([groups[key(group, base)].logprobs for group in first.groups])
    except KeyError:
        return None
