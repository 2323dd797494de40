"""The same tokens after a prompt with less context. KL-guided temperature compares the two."""

from dataclasses import dataclass, replace

import numpy as np

from engine.decoding.candidates import Decoder
from engine.healing.first_step import Healed, heal
from engine.healing.k_step import CoverGroup, FirstStep
from engine.healing.prefix_index import PrefixIndex
from engine.prompt.builder import PromptBuilder
from engine.prompt.fim import Prompt
from engine.runtime.token_cache import TokenCache
from engine.sampling import History
from engine.text.tokenizer import Tokenizer
from engine.types import CompletionRequest, FloatArray, IdArray, TokenIds

NEAR_LINES = 8
"""Lines that the second prompt keeps if there are no other documents to leave out."""


@dataclass(frozen=True, slots=True)
class SecondView:
    """The model without the retrieved context: a second prompt, which follows that of ``decoder``.

    Both prompts end in the same ``tail_length`` tokens. ``first_row`` is the healed first step without the context,
    over the same covers; None if the two do not match. ``cache`` is that of ``decoder``, which then runs both prompts
    as one batch (`Decoder.companion`). If a session holds only one sequence, it is another cache.
    """

    cache: TokenCache
    prompt: IdArray
    decoder: Decoder
    tail_length: int
    first_row: FloatArray | None

    def beside(self, ids: IdArray) -> IdArray | None:
        """The sequence that ends as ``ids`` do after the second prompt; None if it is too long for the cache."""
        start = self.prompt[: len(self.prompt) - self.tail_length]
        other = np.concatenate([start, ids[len(self.decoder.prompt) - self.tail_length :]])
        return other if len(other) <= self.cache.capacity else None

    def __call__(self, history: History) -> FloatArray | None:
        """The logits after the same tokens, ``[V]``; over covers if nothing is written yet."""
        if not history.written:
            return self.first_row
        ids = self.beside(np.concatenate([history.before, np.array(history.written, np.int32)]))
        if ids is None:
            return None
        return self.cache.row_after(ids, self.decoder.checkpoint)[: self.decoder.vocabulary.size]


class SecondViews:
    """Makes the second view of a request. Keeps the extra cache that it needs if a session holds only one sequence."""

    def __init__(self, prompts: PromptBuilder, cache: TokenCache, tokenizer: Tokenizer, index: PrefixIndex) -> None:
        self._prompts = prompts
        self._cache = cache
        self._tokenizer = tokenizer
        self._index = index
        self._own_cache: TokenCache | None = None

    def beside(self, request: CompletionRequest, prompt: Prompt, healed: Healed, decoder: Decoder) -> SecondView | None:
        """The same request with less context: without other documents, or else with the last `NEAR_LINES` lines only.

        None if its prompt does not end in the same tail. Raises as `heal` does.
        """
        near = "".join(request.prefix.splitlines(keepends=True)[-NEAR_LINES:])
        prefix = request.prefix if request.extra_context else near
        other = self._prompts.build(replace(request, extra_context=(), imports="", prefix=prefix))
        if other.tail != prompt.tail or other.order != prompt.order:
            return None
        cache = self._second_cache()
        # In one cache with the first view, the name at the cursor stays that of the first.
        cache.copy_from(prompt.source, (prompt if cache is self._cache else other).ids)
        second = heal(
            other,
            cache,
            self._tokenizer,
            self._index,
            request.healing,
            decoder.checkpoint,
            best_only=False,
            aside=cache is self._cache,
        )
        length = len(prompt.tail)
        row = matching_row(healed.first, len(prompt.ids) - length, second.first, len(other.ids) - length)
        return SecondView(cache, other.ids, decoder, length, row)

    def _second_cache(self) -> TokenCache:
        if self._cache.slots > 1:
            return self._cache
        if self._own_cache is None:
            self._own_cache = self._cache.sibling()
        return self._own_cache


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
