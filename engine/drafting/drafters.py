"""Makes the drafter of a request: what all completions of a model share, and which tokens of a draft a completion can
use.
"""

import time
from collections.abc import Callable, Collection, Sequence

import numpy as np

from engine.drafting.draft import Acceptance
from engine.drafting.drafter import Drafter
from engine.drafting.experience import Experience
from engine.drafting.lookup import Lookup
from engine.drafting.model_drafts import FIRST_SHARES, ModelDrafts, SmallModel, Writer
from engine.prompt.fim import Prompt
from engine.runtime.token_cache import TokenCache
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest


class Drafters:
    """Makes the `Drafter` of each request; what it has learned stays for the next. One for each model."""

    def __init__(
        self,
        cache: TokenCache,
        tokenizer: Tokenizer,
        ends: Collection[int],
        small: Callable[[], Writer] | None = None,
    ) -> None:
        """``ends`` are the ids that end a completion. ``small`` loads a small model for drafts, if there is one."""
        self._cache = cache
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary = tokenizer.vocabulary
        self._small = None if small is None else SmallModel(small)
        self._begun = False
        self._clock = time.perf_counter
        self._experience = Experience()
        self._experience.acceptance["model"] = Acceptance(FIRST_SHARES)
        self._control = np.zeros(vocabulary.size, np.bool_)
        self._control[[*vocabulary.control_ids, *ends]] = True

    def begin(self, request: CompletionRequest, prompt: Prompt, cancel: CancellationToken) -> Drafter:
        """The drafter of a completion of ``prompt`` that is written alone, from left to right."""
        token_bytes, is_single = self._vocabulary.token_bytes, request.stop.lines == "single"
        settled = len(prompt.ids) - len(prompt.tail)
        longest = len(prompt.ids) + request.stop.max_new_tokens

        def useful(tokens: Sequence[int], length: int) -> int:
            # The rows after the last token, and after the end of a line, are never asked for.
            tokens = tokens[: max(0, longest - 1 - length)]
            ends = (n for n, token in enumerate(tokens) if is_single and _breaks_line(token_bytes[token]))
            return next(ends, len(tokens))

        lookup = Lookup(prompt.source, settled, self._cache.capacity, self._control)
        # A caller that asks only once, such as the command line, must not wait for a second model.
        small, self._begun = self._small if self._begun else None, True
        model = None if small is None else ModelDrafts(small, self._tokenizer, request, prompt, cancel)
        return Drafter(self._cache, self._experience, lookup, useful, self._clock, model)


def _breaks_line(data: bytes) -> bool:
    return b"\n" in data or b"\r" in data
