"""An unknown name is shown only if the model is sure of it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from lsp_server.code.known_names import KnownNames, Verdict, has_names
from lsp_server.code.references import names_in
from lsp_server.filters.draft import Draft

LEAST: Mapping[Verdict, float] = MappingProxyType({"known": 0.0, "unknown": 0.5, "absent": 0.9})
"""The least probability of a name that is shown, given the text before it."""


def without_unknown_names(draft: Draft) -> str:
    """Cut before the first name that is unknown (not in the document, its imports, the language or another open
    document) and of which the model is not sure. Names that the text itself defines are known.
    """
    if not draft.text or not draft.along or not has_names(draft.syntax):
        return draft.text
    found = names_in(draft.text, draft.prefix, draft.line_rest, draft.syntax, draft.state)
    known = KnownNames(draft.prefix, draft.suffix, draft.syntax, draft.elsewhere)
    for reference in found.used:
        if reference.name in found.defined:
            continue
        least = LEAST[known.verdict(reference)]
        if least and _probability(draft, reference.start, reference.end) < least:
            # The rest may be judged differently: the text after a name can make it a definition.
            return without_unknown_names(replace(draft, text=draft.text[: max(0, reference.start)]))
    return draft.text


def _probability(draft: Draft, start: int, end: int) -> float:
    """The probability of the text from ``start`` to ``end``, given the text before it."""
    before = next((logprob for characters, logprob in reversed(draft.along) if characters <= start), 0.0)
    upto = next((logprob for characters, logprob in draft.along if characters >= end), draft.along[-1][1])
    return math.exp(min(0.0, upto - before))
