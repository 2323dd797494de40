"""What is learned about drafts for one model, from all its completions."""

from dataclasses import dataclass, field

from engine.drafting.draft import LEAST_GAIN, Acceptance, PassCost, SourceName
from engine.drafting.lookup import FIRST_SHARES as LOOKUP_SHARES

LEAST_PASS_S = 0.05
"""If a pass of the model takes less than this, the small one is not loaded: asking it for a draft takes some
milliseconds and saves a sixth of a pass (docs/measurements/speed.md).
"""
_LATEST = 0.15
_TRIED_AGAIN = 64
"""A small model that does not pay is still asked once in this many times, in case it pays later."""


class Asking:
    """Whether it pays to ask the small model for a draft."""

    def __init__(self) -> None:
        self._gain = 1.15
        self._passed = 0

    def pays(self, otherwise: float) -> bool:
        """Compared with using a draft that is there already, which promises the speed-up ``otherwise`` (1 if there is
        none).
        """
        if self._gain > max(otherwise, LEAST_GAIN):
            return True
        self._passed += 1
        return self._passed % _TRIED_AGAIN == 0

    def note(self, gain: float) -> None:
        """Record a draft that promised the speed-up ``gain``, with the time for making it counted."""
        self._gain += _LATEST * (gain - self._gain)


@dataclass(slots=True)
class Experience:
    """What passes cost, how often drafts are right by their source, whether the small model pays."""

    cost: PassCost = field(default_factory=PassCost)
    acceptance: dict[SourceName, Acceptance] = field(default_factory=lambda: {"lookup": Acceptance(LOOKUP_SHARES)})
    asking: Asking = field(default_factory=Asking)
