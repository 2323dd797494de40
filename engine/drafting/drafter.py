"""The decode loop's rows, with drafts run ahead: a draft is a prefetch.

The loop asks for the row after its tokens, as it asks a `TokenCache`. If that takes a pass, the tokens that are likely
to come next go through the same pass. If they do come, their rows are known already. The loop chooses from the model's
own rows and never sees a draft. So with exact arithmetic a draft changes nothing, whether tokens are taken greedily or
drawn. Drawing from the model's row and comparing the result with the drafted token is the accept-or-resample rule of
Leviathan et al. (2023, arXiv 2211.17192, section 2.3) for a draft that puts all probability on one token.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from engine.drafting.draft import LEAST_GAIN, NO_DRAFT, Draft, SourceName, Tally, best_length
from engine.drafting.experience import LEAST_PASS_S, Experience
from engine.drafting.lookup import Lookup
from engine.drafting.model_drafts import ModelDrafts
from engine.runtime.token_cache import TokenCache
from engine.types import DraftCounts, FloatArray, IdArray

MOST_ASKING = 3.0
"""Asking the small model counts as at most this many passes. If it took longer, it was delayed or had to read its
prompt.
"""


class Drafter:
    """The rows of one completion (`engine.decoding.decode.Rows`).

    ``useful`` takes drafted tokens and the length of the sequence, and says how many of the tokens the completion can
    still use. A token that ends the completion, or lies beyond its limit, is not worth a row.
    """

    def __init__(
        self,
        cache: TokenCache,
        experience: Experience,
        lookup: Lookup,
        useful: Callable[[Sequence[int], int], int],
        clock: Callable[[], float] = time.perf_counter,
        model: ModelDrafts | None = None,
    ) -> None:
        self._tallies: dict[SourceName, Tally] = {"lookup": Tally(), "model": Tally()}
        self._cache = cache
        self._experience = experience
        self._lookup = lookup
        self._useful = useful
        self._clock = clock
        self._model = model
        # The last draft, where it began, and how many of its tokens went through the pass. The other tokens are
        # compared too, because that also tells how good drafts are.
        self._draft = NO_DRAFT
        self._start = 0
        self._verified = 0

    @property
    def counts(self) -> DraftCounts:
        """What was drafted up to now."""
        lookup, model = self._tallies["lookup"], self._tallies["model"]
        return DraftCounts(lookup.drafted, lookup.accepted, model.drafted, model.accepted)

    @property
    def capacity(self) -> int:
        """See `TokenCache.capacity`."""
        return self._cache.capacity

    def row_after(self, ids: IdArray, checkpoint: Callable[[], None]) -> FloatArray:
        """See `TokenCache.row_after`."""
        self._compare(ids)
        if self._cache.remembers(ids):
            return self._cache.row_after(ids, checkpoint)
        count = self._propose(ids)
        draft = np.array(self._draft.tokens[:count], np.int32)
        began = self._clock()
        row, run = self._cache.row_ahead(ids, draft, checkpoint)
        if run == 1 + count:  # otherwise a part of the prompt was read too, which says nothing about the speed
            self._experience.cost.note(count, self._clock() - began)
        return row

    def _compare(self, ids: IdArray) -> None:
        """Record whether the last token of ``ids`` is the drafted one."""
        place = len(ids) - 1 - self._start
        if not 0 <= place < len(self._draft.tokens):
            return
        right = bool(ids[-1] == self._draft.tokens[place])
        self._experience.acceptance[self._draft.source].note(self._draft.grades[place], right=right)
        if right and place < self._verified:
            self._tallies[self._draft.source].accepted += 1
        if not right:
            self._draft = NO_DRAFT

    def _propose(self, ids: IdArray) -> int:
        """Find a draft of what follows ``ids``; return how many of its tokens are worth their rows."""
        draft = self._lookup.propose(ids)
        count, gain = self._worth(draft, ids)
        if self._small_model_pays(gain):
            other, other_count, other_gain = self._ask(ids)
            if other_gain > gain:
                draft, count, gain = other, other_count, other_gain
        self._draft, self._start = draft, len(ids)
        self._verified = count if gain >= LEAST_GAIN else 0
        self._tallies[draft.source].drafted += self._verified
        return self._verified

    def _worth(self, draft: Draft, ids: IdArray) -> tuple[int, float]:
        """How many tokens of ``draft`` are worth their rows, and the speed-up that this promises (`best_length`)."""
        useful = min(self._useful(draft.tokens, len(ids)), self._cache.capacity - len(ids))
        acceptance = self._experience.acceptance[draft.source]
        shares = [acceptance.share(grade) for grade in draft.grades[: max(0, useful)]]
        return best_length(shares, self._experience.cost)

    def _small_model_pays(self, otherwise: float) -> bool:
        experience = self._experience
        return (
            self._model is not None
            and experience.cost.single_s >= LEAST_PASS_S
            and experience.asking.pays(otherwise)
            and self._model.ready()
        )

    def _ask(self, ids: IdArray) -> tuple[Draft, int, float]:
        """The small model's draft and its worth. Also records whether asking pays, given the time that it took."""
        assert self._model is not None
        began = self._clock()
        draft = self._model.propose(ids)
        cost = self._experience.cost
        asking = min(MOST_ASKING, (self._clock() - began) / cost.single_s)
        count, gain = self._worth(draft, ids)
        took = cost.ratio(count)
        self._experience.asking.note(gain * took / (took + asking))
        return draft, count, gain
