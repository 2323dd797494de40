"""How sure the model must be of what is shown. The engine ends a completion before the first doubtful word.

Cutting a completion is better than withholding it, because the beginning of a guess is often certain when the rest is
not. Nothing may be left. The figures behind the two thresholds are in docs/measurements/quality.md.
"""

from lsp_server.code.scanner import State

DEFAULT_CONFIDENCE = 0.15
"""Near the best if a wrong character costs as much as a kept one saves, and also if it costs half as much."""
PROSE_CONFIDENCE = 0.3
"""The threshold in comments and strings, which are the user's own words, so only likely text is shown."""


def least_confidence(state: State, minimum: float, *, automatic: bool) -> float:
    """The probability that a completion must keep, 0 to 1. ``state`` is that at the cursor.

    ``minimum`` is the user's setting; 0 shows everything everywhere. A request made by hand gets the whole guess.
    """
    if not automatic:
        return 0.0
    return minimum if state.inside is None or minimum == 0.0 else max(minimum, PROSE_CONFIDENCE)
