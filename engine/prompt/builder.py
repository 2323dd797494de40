"""From a request to the sequence that the model reads: windows, tokens, stable boundary, budget, template."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from engine.errors import RequestError
from engine.model_folder.manifest import Manifest
from engine.prompt.fim import Order, Prompt, PromptParts, assemble, choose_order, has_cut, overhead
from engine.prompt.out_of_window import OutOfWindow
from engine.prompt.repository_names import FileNames, names_of, snippet_ids
from engine.prompt.settled_text import SettledText
from engine.prompt.windows import (
    IMPORTS_SHARE,
    NAMES_SHARE,
    anchor_of,
    fit,
    jump_of,
    pieces_that_fit,
    prefix_window,
    room_for_extra,
    suffix_window,
)
from engine.text.tokenizer import Tokenizer
from engine.types import CompletionRequest, IdArray, Snippet, TokenIds

REMEMBERED = 2
"""Texts whose tokens are remembered: with most keystrokes the suffix is the same, and so is the text above the cut."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a request has around its cursor as tokens, ``parts``, of the windows ``prefix`` and ``below``; ``budget``
    tokens of it fit.
    """

    request: CompletionRequest
    order: Order
    budget: int
    parts: PromptParts
    prefix: str
    below: str


class PromptBuilder:
    """Builds the prompts of one model whose context holds ``capacity()`` tokens, which can become fewer when memory
    runs out.

    The same request gives the same prompt. What changes least comes first, and windows start where they started one
    keystroke earlier, so that the key/value cache can be used. Not safe for use from two threads at once.
    """

    def __init__(
        self, tokenizer: Tokenizer, manifest: Manifest, capacity: Callable[[], int], *, copies: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._manifest = manifest
        self._capacity = capacity
        self._copies = copies
        self.forget()

    def build(self, request: CompletionRequest) -> Prompt:
        """Window, tokenise, split at the stable boundary, fit the budget, assemble. Raises `RequestError`."""
        return self.whole(self.document(request))

    def forget(self) -> None:
        """Forget the tokens of all texts."""
        tokenizer = self._tokenizer
        self._above = lru_cache(REMEMBERED)(tokenizer.encode)
        self._below = lru_cache(REMEMBERED)(tokenizer.encode_inside)
        self._whole = SettledText(tokenizer)
        self._middle = SettledText(tokenizer, inside=True)
        self._outside = OutOfWindow(tokenizer)

    def document(self, request: CompletionRequest) -> Document:
        """The tokens of the document around the cursor, before they are fitted. Raises `RequestError`."""
        fim = self._manifest.fim
        native = request.healing.mode == "native"
        # Other tools always use the template if there is one, so ``native`` does too.
        order = fim.default if native and fim is not None else choose_order(fim, request.suffix)
        capacity = self._capacity()
        if request.context_tokens is not None:
            capacity = min(capacity, request.context_tokens + request.stop.max_new_tokens)
        budget = capacity - request.stop.max_new_tokens - overhead(fim, order)
        if budget < 1:
            raise RequestError(
                f"max_new_tokens is {request.stop.max_new_tokens} but the context holds {capacity}; ask for fewer"
            )
        prefix = prefix_window(request.prefix, budget)
        below = "" if order == "plain" else suffix_window(request.suffix, budget)
        suffix = self._below(below) if below else ()
        if native:  # as in other tools: nothing is taken back, everything is prefix
            parts = PromptParts(*self._tokenizer.encode_split(prefix, len(prefix)), suffix)
        elif has_cut(fim, order):
            settled, between, tail = self._cut(prefix, anchor_of(request.prefix, prefix, budget))
            parts = PromptParts(settled, tail, suffix, between=between)
        else:
            parts = PromptParts(*self._whole.split(prefix), suffix)
        return Document(request, order, budget, parts, prefix, below)

    def whole(self, document: Document) -> Prompt:
        """All of a document that the budget holds, and what goes along with it."""
        request = document.request
        is_whole = len(document.prefix) == len(request.prefix)
        fitted, parts = self._with_more(document.parts, request, document.budget, is_whole=is_whole)
        return self._assembled(document, fitted, parts)

    def part(self, document: Document, most: int, earlier: int = 0) -> Prompt:
        """The nearest ``most`` tokens of a document, and nothing that goes along. ``earlier`` is that of `fit`."""
        budget = max(1, min(most - overhead(self._manifest.fim, document.order), document.budget))
        earlier = min(earlier, (document.budget - budget) // jump_of(budget))
        fitted = fit(document.parts, budget, earlier)
        return self._assembled(document, fitted, fitted)

    def _assembled(self, document: Document, fitted: PromptParts, parts: PromptParts) -> Prompt:
        request = document.request
        prompt = assemble(parts, self._manifest.fim, document.order, self._manifest.control)
        if not self._copies and request.speculation == "off":
            return prompt
        before = self._outside.before(request.prefix[: len(request.prefix) - len(document.prefix)])
        after = self._outside.after(request.suffix[len(document.below) :])
        # Without the tail: what healing takes back must not be copied.
        read = prompt.ids[: len(prompt.ids) - len(prompt.tail)]
        return replace(prompt, source=np.concatenate([*self._left_out(before, document.parts, fitted, after), read]))

    def _left_out(
        self, before: IdArray, document: PromptParts, fitted: PromptParts, after: IdArray
    ) -> tuple[IdArray, ...]:
        """The parts of the document that are not in the prompt: ``before`` and ``after`` its windows, and what was
        cut off to fit.
        """
        end = self._manifest.control.end[0]
        whole, kept = document.settled + document.between, len(fitted.settled) + len(fitted.between)
        above = (*whole[: len(whole) - kept], end)
        below = document.suffix[len(fitted.suffix) :]
        return before, np.array(above, np.int32), np.array(below, np.int32), after, np.array([end], np.int32)

    def _with_more(
        self, document: PromptParts, request: CompletionRequest, budget: int, *, is_whole: bool
    ) -> tuple[PromptParts, PromptParts]:
        """The document within the budget; and the same with extra context before it: file names, the snippets, and the
        imports that were cut off.
        """
        names = self._names(request, budget)
        budget -= 0 if names is None else names.length
        room = room_for_extra(document, budget)
        snippets = pieces_that_fit(map(self._snippet_ids(named=names is not None), request.extra_context), room)
        fitted = fit(document, max(1, budget - len(snippets)))
        imports: TokenIds = ()
        if request.imports and not (
            is_whole and fitted.between == document.between and fitted.settled == document.settled
        ):
            imports = self._tokenizer.encode(request.imports)[: int(budget * IMPORTS_SHARE)]
            fitted = fit(document, max(1, budget - len(snippets) - len(imports)))
        if names is None:
            return fitted, replace(fitted, settled=snippets + imports + fitted.settled)
        before = names.repository + snippets + names.document
        return fitted, replace(fitted, settled=names.inside + imports + fitted.settled, before=before)

    def _names(self, request: CompletionRequest, budget: int) -> FileNames | None:
        """The names of repository and file, if the model has tokens for them and the request gives them."""
        tokens = self._manifest.repository
        if tokens is None or not request.path:
            return None
        names = names_of(request, tokens, self._tokenizer.encode_inside)
        return names if names.length <= int(budget * NAMES_SHARE) else None

    def _snippet_ids(self, *, named: bool) -> Callable[[Snippet], TokenIds]:
        tokens = self._manifest.repository
        if named and tokens is not None:
            return lambda snippet: snippet_ids(snippet, tokens, self._tokenizer.encode_inside)
        return lambda snippet: self._tokenizer.encode(snippet.heading + snippet.text)

    def _cut(self, prefix: str, anchor: int) -> tuple[TokenIds, TokenIds, TokenIds]:
        """The ids of ``prefix`` with a sentinel at ``anchor``: settled, between, and tail.

        The middle does not begin a text, so it is encoded without the space that some tokenizers put before a text. The
        same is true of the suffix (the rule of Code Llama, arXiv 2308.12950, section 2.3).
        """
        settled = self._above(prefix[:anchor]) if anchor else ()
        return settled, *self._middle.split(prefix[anchor:])
