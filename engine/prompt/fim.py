"""Prompt assembly: token ids of the settled text, the tail and the suffix into the sequence that the model reads.

Control tokens enter as ids from the manifest, never as text. The tail, the part of the typed text that healing may take
back, always ends the sequence. If a sentinel stands between prefix and middle, the prefix stops some lines above the
cursor (`engine.prompt.windows.anchor_of`). The lines between and then the tail follow the sentinel, and the middle must
start with them. If the prefix ends the template, or without fill-in-the-middle, they are simply the end of the prefix.
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

    ``source``, ``[R] int32``, is what a model that copies, and drafts, may copy from; empty if there are neither.
    """

    ids: IdArray
    tail: TokenIds
    order: Order
    source: IdArray = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class PromptParts:
    """Token ids of the document around the cursor.

    ``settled`` comes before the tail and does not change while a line is typed, ``tail`` may be healed, ``suffix``
    comes after the cursor. ``between`` comes between settled and tail: it does not change either, but is on the
    middle's side of a cut. ``before`` comes before the template: names and contents of repository and files, control
    ids included.
    """

    settled: TokenIds
    tail: TokenIds
    suffix: TokenIds
    before: TokenIds = ()
    between: TokenIds = ()


def has_cut(fim: FimTemplates | None, order: Order) -> bool:
    """Whether the template has something between the prefix and the middle."""
    return fim is not None and order != "plain" and fim.templates[order][-1] != "prefix"


def overhead(fim: FimTemplates | None, order: Order) -> int:
    """Number of tokens that a prompt in ``order`` has besides those of the document."""
    controls = 0 if order == "plain" or fim is None else sum(isinstance(p, int) for p in fim.templates[order])
    return 1 + controls


def choose_order(fim: FimTemplates | None, suffix: str, wanted: FimOrder | None = None) -> Order:
    """The order for a document: ``plain`` if only white space follows or the model has no template."""
    if fim is None or not suffix.strip():
        return "plain"
    return wanted if wanted is not None and wanted in fim.templates else fim.default


def assemble(parts: PromptParts, fim: FimTemplates | None, order: Order, control: ControlIds) -> Prompt:
    """Lay out a prompt. It starts with the begin-of-sequence id if the model has one.

    If a model has none and no other token would stand before the tail, the prompt starts with the end-of-sequence id,
    after which documents start. The first token can only be scored after some other token.
    """
    start = () if control.begin is None else (control.begin,)
    typed = parts.between + parts.tail
    if order == "plain" or fim is None:
        if not start and not parts.before and not parts.settled:
            start = (control.end[0],)
        return Prompt(np.array((*start, *parts.before, *parts.settled, *typed), np.int32), parts.tail, "plain")
    # The last part is the prefix or a sentinel. Either way, the typed text comes after it and ends the prompt.
    slots = {"prefix": parts.settled, "suffix": parts.suffix}
    body = [token for part in fim.templates[order] for token in ((part,) if isinstance(part, int) else slots[part])]
    body.extend(typed)
    return Prompt(np.array([*start, *parts.before, *body], np.int32), parts.tail, order)
