"""Prompt assembly: token ids of context, tail and suffix into the sequence that the model reads.

Control tokens enter as ids from the manifest, never as text. The tail, the part of the typed text that healing may
take back, always ends the sequence: in prefix-suffix-middle order the prefix stops at the stable boundary and the tail
follows the middle sentinel, as the start of what the middle must be; in suffix-prefix-middle order, and without
fill-in-the-middle, it simply ends the prefix.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from engine.model_folder.manifest import ControlIds, FimOrder, FimTemplates
from engine.types import IdArray, TokenIds

Order = Literal["plain", "psm", "spm"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """``ids`` is ``[S] int32``, S >= 1; its last ``len(tail)`` entries are ``tail``, which holds text only.

    ``source``, ``[R] int32``, is what a model that copies may copy from; empty for others.
    """

    ids: IdArray
    tail: TokenIds
    order: Order
    source: IdArray = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class PromptParts:
    """Token ids of the document around the cursor: what is settled, what may be healed, what comes after; ``before``
    all of them, and before the template, what the model reads of repository and files, control ids included.
    """

    context: TokenIds
    tail: TokenIds
    suffix: TokenIds
    before: TokenIds = ()


def overhead(fim: FimTemplates | None, order: Order) -> int:
    """Tokens that a prompt in ``order`` holds beside those of the document."""
    controls = 0 if order == "plain" or fim is None else sum(isinstance(p, int) for p in fim.templates[order])
    return 1 + controls


def choose_order(fim: FimTemplates | None, suffix: str, wanted: FimOrder | None = None) -> Order:
    """The order for a document: ``plain`` where nothing but white space follows or the model has no template."""
    if fim is None or not suffix.strip():
        return "plain"
    return wanted if wanted is not None and wanted in fim.templates else fim.default


def assemble(parts: PromptParts, fim: FimTemplates | None, order: Order, control: ControlIds) -> Prompt:
    """Lay out a prompt. It starts with the begin-of-sequence id where the model has one.

    A model without one gets its end-of-sequence id, after which documents start, where nothing certain would stand
    before the tail: the first token too must be scored after something.
    """
    start = () if control.begin is None else (control.begin,)
    if order == "plain" or fim is None:
        if not start and not parts.before and not parts.context:
            start = (control.end[0],)
        return Prompt(np.array((*start, *parts.before, *parts.context, *parts.tail), np.int32), parts.tail, "plain")
    template = fim.templates[order]
    tail_in_prefix = template[-1] == "prefix"
    slots = {"prefix": parts.context + parts.tail if tail_in_prefix else parts.context, "suffix": parts.suffix}
    body = [token for part in template for token in ((part,) if isinstance(part, int) else slots[part])]
    if not tail_in_prefix:
        body.extend(parts.tail)
    return Prompt(np.array([*start, *parts.before, *body], np.int32), parts.tail, order)
