"""How sure the model must be of what is shown. The engine ends a completion before the word that it doubts.

Cutting is worth more than withholding: the beginning of a guess is often certain where the rest of it is not, and what
is left may be nothing. The figures behind the two thresholds are in docs/measurements/quality.md.
"""

from lsp_server.code.scanner import State

DEFAULT_CONFIDENCE = 0.15
"""Near the best where a wrong character costs as much as one that is kept saves, and where it costs half of that."""
PROSE_CONFIDENCE = 0.3
"""In comments and strings, which are the user's own words: something is shown only if there is something to say."""


def least_confidence(state: State, minimum: float, *, automatic: bool) -> float:
    """The probability that a completion must keep, 0 to 1, where ``state`` is that of the cursor.

    ``minimum`` is the user's setting; 0 shows everything everywhere. Someone who asks by hand gets the whole guess.
    """
    if not automatic:
        return 0.0
    return minimum if state.inside is None or minimum == 0.0 else max(minimum, PROSE_CONFIDENCE)
