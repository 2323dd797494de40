"""Several candidates written in step and ranked by how sure the model was of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.decoding.candidates import Candidate, Decoder
from engine.healing.first_step import Healed
from engine.healing.k_step import Cover, FirstStep
from engine.sampling import History, TokenChooser, top_two_gap
from engine.types import FloatArray


@dataclass(slots=True)
class ConfidenceMeter:
    """Chooses as ``base`` does, and records how far the best token was ahead of the second."""

    base: TokenChooser
    gaps: list[float] = field(default_factory=list)

    def next_token(self, logits: FloatArray, history: History) -> int:
        """See `engine.sampling.TokenChooser`."""
        self.gaps.append(top_two_gap(logits))
        return self.base.next_token(logits, history)


def write_ranked(
    decoder: Decoder, healed: Healed, covers: Sequence[Cover], choosers: Sequence[TokenChooser]
) -> list[Candidate]:
    """Write a candidate from each of ``covers``, all in step; the most confident first. A single candidate is not
    measured.

    Wang and Zhou 2024 (CoT-decoding), arXiv 2402.10200: confidence is the mean gap between the best and the second
    probability over the tokens written. Where we differ: the branching token counts too, with its own probability minus
    the best rival's. A completion has no separate answer part, and an improbable cover must not win because of what
    follows it.
    """
    meters = [ConfidenceMeter(base, [_lead(healed.first, cover)]) for cover, base in zip(covers, choosers, strict=True)]
    candidates = [decoder.start(cover) for cover in covers]
    decoder.write_together(list(zip(candidates, meters, strict=True)))
    ranked = zip(candidates, meters, strict=True)
    return [candidate for candidate, _ in sorted(ranked, key=lambda entry: -float(np.mean(entry[1].gaps)))]


def _lead(first: FirstStep, cover: Cover) -> float:
    """Probability of ``cover`` minus that of the best other cover."""
    own = math.exp(cover.logprob)
    top, second = [*np.exp(np.sort(-np.partition(-first.logprobs, min(1, len(first.ids) - 1))[:2]))[::-1], 0.0][:2]
    return own - float(second if own >= top else top)
