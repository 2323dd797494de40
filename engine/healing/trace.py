"""How a prompt was healed, for people to read: what `midtoken inspect --text` prints."""

import math

import numpy as np

from engine.healing.first_step import Healed
from engine.healing.k_step import Cover
from engine.prompt.fim import Prompt
from engine.text.vocabulary import Vocabulary
from engine.types import HealingTrace, TracedCover


def trace_healing(
    prompt: Prompt, healed: Healed, chosen: list[Cover], vocabulary: Vocabulary, *, mode: str, count: int
) -> HealingTrace:
    """The tail, the ``count`` most probable covers with tokens, weight and validity, and which one was taken."""
    first = healed.first
    base = len(prompt.ids) - len(prompt.tail)
    heaviest = np.argsort(-first.logprobs, kind="stable")[:count].tolist()

    def token_bytes(ids: list[int]) -> tuple[bytes, ...]:
        return tuple(vocabulary.token_bytes[token] for token in ids)

    covers = []
    for cover in map(first.cover, heaviest):
        before = [*prompt.ids[base : cover.kept].tolist(), *cover.extra]
        covers.append(
            TracedCover(
                before=token_bytes(before),
                data=vocabulary.token_bytes[cover.token],
                typed=cover.typed,
                probability=math.exp(cover.logprob),
                valid=healed.is_valid(cover),
                chosen=cover in chosen,
            )
        )
    return HealingTrace(
        mode=mode,
        context=token_bytes(prompt.ids[:base].tolist()),
        tail=token_bytes(list(prompt.tail)),
        candidates=len(first.ids),
        surprise_bits=first.surprise_bits,
        covers=tuple(covers),
    )
