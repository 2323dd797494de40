"""What is learned of drafts for one model, from all its completions."""

from dataclasses import dataclass, field

from engine.drafting.draft import LEAST_GAIN, Acceptance, PassCost, SourceName
from engine.drafting.lookup import FIRST_SHARES as LOOKUP_SHARES

LEAST_PASS_S = 0.05
"""A model whose pass takes less does not load the small one: asking that for a draft takes some milliseconds, and is
worth a sixth of a pass (docs/measurements/speed.md)."""
_LATEST = 0.15
_TRIED_AGAIN = 64
"""A small model that does not pay is asked once in so many times, for it may yet."""


class Asking:
    """Whether it pays to ask the small model for a draft."""

    def __init__(self) -> None:
        self._gain = 1.15
        self._passed = 0

    def pays(self, otherwise: float) -> bool:
        """Against a draft that is there already and promises ``otherwise``, or none."""
        if self._gain > max(otherwise, LEAST_GAIN):
            return True
        self._passed += 1
        return self._passed % _TRIED_AGAIN == 0

    def note(self, gain: float) -> None:
        """A draft promised ``gain``, the time for making it included."""
        self._gain += _LATEST * (gain - self._gain)


@dataclass(slots=True)
class Experience:
    """What passes cost, how often drafts are right by their source, whether the small model pays."""

    cost: PassCost = field(default_factory=PassCost)
    acceptance: dict[SourceName, Acceptance] = field(default_factory=lambda: {"lookup": Acceptance(LOOKUP_SHARES)})
    asking: Asking = field(default_factory=Asking)
