"""Drafts from a smaller model with a vocabulary of its own: its text, encoded with the large model's tokenizer.

The text so far ends with a token of the large model, which may be inside a token of the small one. The small model's
own healing handles that. The small model's text may end inside a token of the large model. So the last token of a draft
has a grade of its own, and is left out if such tokens are often wrong.
"""

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from engine.config import HealingParams, StopParams
from engine.drafting.draft import NO_DRAFT, Draft
from engine.errors import Cancelled, MidtokenError
from engine.prompt.fim import Prompt
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest, CompletionResult, IdArray

MOST_SMALL_TOKENS = 12
"""Tokens of the small model in one draft."""
LEAST_CONFIDENCE = 0.15
"""A draft ends before the word that would bring its probability, by the small model, below this."""
PREFIX_CHARACTERS = 2000
PREFIX_STEP = 500
"""Characters of the text before the cursor that the small model reads. The start moves in steps of this size. Reading
more would take longer than it saves.
"""


class Writer(Protocol):
    """A model that completes text; a `Completer` is one."""

    def complete(self, request: CompletionRequest, cancel: CancellationToken | None = None) -> CompletionResult:
        """See `engine.completer.Completer`."""


_HEALING = HealingParams("k-step")
"""Not exact healing, because a draft is not worth more passes."""
_CONFIDENCES = (0.4, 0.6, 0.8, 0.95)
FIRST_SHARES = tuple(share for share in (0.4, 0.5, 0.6, 0.7, 0.8) for _ in ("inside", "last"))
"""Share of right tokens assumed at the start, by grade: the small model's probability for each token, and whether it is
the last of its draft.
"""


def grade_of(each: float, *, is_last: bool) -> int:
    """The grade of a token of a draft whose tokens have the mean probability ``each``."""
    return 2 * sum(each >= least for least in _CONFIDENCES) + is_last


class SmallModel:
    """A model for drafts. It is loaded in the background when it is first asked for, and given up if it fails."""

    def __init__(self, load: Callable[[], Writer]) -> None:
        self._load = load
        self._writer: Writer | None = None
        self._loading: threading.Thread | None = None

    def ready(self) -> bool:
        """Whether it can be asked. The first call starts loading it, on a thread of its own."""
        if self._loading is None:
            self._loading = threading.Thread(target=self._bring, name="midtoken-small-model")
            self._loading.start()
        return self._writer is not None

    def wait(self) -> None:
        """Wait until it is loaded, if loading was started."""
        if self._loading is not None:
            self._loading.join()

    def _bring(self) -> None:
        with suppress(MidtokenError):  # without it there are only fewer drafts
            self._writer = self._load()

    def complete(self, request: CompletionRequest, cancel: CancellationToken) -> CompletionResult | None:
        """What it writes; None if it cannot. Raises `Cancelled`."""
        if self._writer is None:
            return None
        try:
            return self._writer.complete(request, cancel)
        except Cancelled:
            raise
        except MidtokenError:
            self._writer = None
            return None


class ModelDrafts:
    """Drafts of one completion by ``small`` for the model of ``tokenizer``."""

    def __init__(
        self,
        small: SmallModel,
        tokenizer: Tokenizer,
        request: CompletionRequest,
        prompt: Prompt,
        cancel: CancellationToken,
    ) -> None:
        self._small = small
        self._tokenizer = tokenizer
        self._stop = StopParams(MOST_SMALL_TOKENS, request.stop.lines, min_confidence=LEAST_CONFIDENCE)
        self._language = request.language
        self._cancel = cancel
        before = request.prefix.encode(errors="replace")
        typed = tokenizer.vocabulary.bytes_of(prompt.tail)
        self._settled = len(prompt.ids) - len(prompt.tail)
        before = before[: len(before) - len(typed)]
        start = max(0, len(before) - PREFIX_CHARACTERS) // PREFIX_STEP * PREFIX_STEP
        self._before = before[before.find(b"\n", start) + 1 if start else 0 :]

    def ready(self) -> bool:
        """See `SmallModel.ready`."""
        return self._small.ready()

    def propose(self, ids: IdArray) -> Draft:
        """What may follow ``ids``, ``[S] int32``: the prompt and what is written. Raises `Cancelled`."""
        written = self._tokenizer.vocabulary.bytes_of(ids[self._settled :].tolist())
        try:
            prefix = (self._before + written).decode()
        except UnicodeDecodeError:  # the text ends inside a character
            return NO_DRAFT
        asked = CompletionRequest(prefix, language=self._language, healing=_HEALING, stop=self._stop, speculation="off")
        result = self._small.complete(asked, self._cancel)
        if result is None or not result.completions:
            return NO_DRAFT
        best = result.completions[0]
        # The end of a line is often one token with the text before it. A space is often one token with the text after
        # it, which is not known here.
        text = best.text + "\n" if best.stop in ("line", "block") else best.text.rstrip(" \t")
        tokens = self._tokenizer.encode_inside(text)
        each = math.exp(min(0.0, best.logprob / max(1, best.tokens)))
        return Draft("model", tokens, [grade_of(each, is_last=n == len(tokens) - 1) for n in range(len(tokens))])
