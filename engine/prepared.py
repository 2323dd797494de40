"""A request after its prefill, and the completions that its candidates become."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.decoding.candidates import Candidate
from engine.decoding.strategies import Run, Strategy
from engine.decoding.suffix_overlap import trim_suffix_overlap
from engine.drafting.drafter import Drafter
from engine.healing.first_step import Healed
from engine.healing.k_step import Cover
from engine.prompt.fim import Prompt
from engine.prompt.settled_text import MAX_TAIL_CHARACTERS
from engine.types import (
    Completion,
    CompletionRequest,
    HealingReport,
    Timing,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request after its prefill: everything that its candidates share."""

    prompt: Prompt
    healed: Healed
    strategy: Strategy
    run: Run
    covers: list[Cover]
    timing: Timing
    drafter: Drafter | None
    is_partial: bool = False

    def write(self) -> Iterator[list[Candidate]]:
        """The candidates as `Strategy.write` yields them; nothing if there is no cover to begin with."""
        return self.strategy.write(self.run, self.covers) if self.covers else iter(())


def finished(candidate: Candidate, prepared: Prepared, request: CompletionRequest) -> Completion:
    """The completion that a candidate has become, cut where it runs into the suffix."""
    tracker, cover, first = candidate.tracker, candidate.cover, prepared.healed.first
    assert tracker.ended is not None
    data = request.prefix[-MAX_TAIL_CHARACTERS:].encode()
    report = HealingReport(
        mode=request.healing.mode,
        tail=data[max(0, len(data) - cover.typed) :].decode("utf-8", errors="replace"),
        tokens_back=len(prepared.prompt.ids) - cover.kept,
        covers=len(first.ids) if cover.typed else 0,
        surprise_bits=first.surprise_bits,
    )
    text = trim_suffix_overlap(tracker.text, request.suffix)
    return Completion(text, candidate.logprob, len(candidate.tokens), tracker.ended, report, tuple(candidate.along))


def distinct(completions: list[Completion]) -> tuple[Completion, ...]:
    """The completions without empty and repeated texts, in the same order."""
    unique: dict[str, Completion] = {}
    for completion in completions:
        if completion.text:
            unique.setdefault(completion.text, completion)
    return tuple(unique.values())
