"""Which part of a document the model reads: windows of text and of tokens whose starts move in jumps.

The key/value cache survives a keystroke only if the prompt before the cursor still begins with the same token. A window
of fixed length would move its start with every typed character. These windows stay where they are until the cursor has
moved by a whole step, and then jump.
"""

from collections.abc import Iterable

from engine.prompt.fim import PromptParts
from engine.types import TokenIds

CHARACTERS_PER_TOKEN = 8
"""More than vocabularies reach on code (about 4, superwords 6). Text beyond this many characters for each token is
never tokenised.
"""
SUFFIX_SHARE = 0.25
"""Part of the token budget that the text after the cursor may take, as far as the text before it needs the rest."""
EXTRA_SHARE = 0.25
"""Part of the token budget that pieces from elsewhere may take, as far as the document needs the rest."""
IMPORTS_SHARE = 0.1
"""Part of the token budget that the document's imports may take if the window does not reach them."""
NAMES_SHARE = 0.1
"""Part of the token budget that the names of file and repository may take; longer ones are left out."""
JUMP_SHARE = 0.25
"""A window start jumps by this part of the window."""
ANCHOR_LEAST_LINES = 12
ANCHOR_STEP_LINES = 64
"""Step of the cut between prefix and middle, in an order that has a cut. The cut is at a line whose number is a
multiple of the step.
"""
ANCHOR_SHARE = 0.5
"""Part of the token budget that the lines between the cut and the cursor's line may take."""
ANCHOR_CHARACTERS_PER_TOKEN = 3
"""Fewer than vocabularies reach on code, so text with this many characters for each token is almost certainly
within that share.
"""


def prefix_window(prefix: str, budget_tokens: int) -> str:
    """The end of ``prefix`` that may be worth tokenising, from a line start if one is near."""
    return end_window(prefix, budget_tokens * CHARACTERS_PER_TOKEN)


def end_window(text: str, characters: int) -> str:
    """The end of ``text``, at most so many ``characters``, from a line start if one is near. While the text grows, the
    window begins where it began, until that is too far away.
    """
    if len(text) <= characters:
        return text
    jump = max(1, int(characters * JUMP_SHARE))
    start = -(-(len(text) - characters) // jump) * jump
    line = text.find("\n", start, start + jump)
    return text[start if line < 0 else line + 1 :]


def suffix_window(suffix: str, budget_tokens: int) -> str:
    """The start of ``suffix`` that may be worth tokenising."""
    return suffix[: int(budget_tokens * SUFFIX_SHARE) * CHARACTERS_PER_TOKEN]


def anchor_of(prefix: str, window: str, budget_tokens: int) -> int:
    """Where prefix and middle are cut, as a position in ``window``, which ends ``prefix``: the start of a line, or 0.

    Any place before the tail would be correct. This one depends only on the text before the cursor's line. It stays
    where it is while lines are added, so that a new line adds its own tokens to the prompt and changes no others; then
    it jumps. It is some lines above the cursor, because models complete better that way (docs/measurements/quality.md).
    """
    line, line_start = prefix.count("\n"), window.rfind("\n") + 1
    limit = int(budget_tokens * ANCHOR_SHARE) * ANCHOR_CHARACTERS_PER_TOKEN
    least, step = ANCHOR_LEAST_LINES, ANCHOR_STEP_LINES
    while True:
        start = _line_start_above(window, line - max(0, line - least) // step * step)
        # Long lines: a finer grid, until the text between is short enough, or is only the cursor's line.
        if line_start - start <= limit or (least == 0 and step == 1):
            return start
        least, step = least // 2, max(1, step // 2)


def _line_start_above(text: str, lines: int) -> int:
    """The start of the line that is that many lines above the last one; 0 if there is none."""
    position = text.rfind("\n")
    for _ in range(lines):
        if position < 0:
            break
        position = text.rfind("\n", 0, position)
    return position + 1


def jump_of(budget_tokens: int) -> int:
    """By how many tokens the start of a window of so many moves, at least one."""
    return max(1, int(budget_tokens * JUMP_SHARE))


def room_for_extra(parts: PromptParts, budget_tokens: int) -> int:
    """Tokens that extra context may take: its share, or what the document leaves, rounded down to whole jumps."""
    jump = jump_of(budget_tokens)
    document = len(parts.settled) + len(parts.between) + len(parts.tail) + len(parts.suffix)
    return max(int(budget_tokens * EXTRA_SHARE), (budget_tokens - document) // jump * jump)


def pieces_that_fit(pieces: Iterable[TokenIds], room_tokens: int) -> TokenIds:
    """The first of ``pieces`` that fit together. A piece is taken whole; one that is too long is skipped."""
    taken: TokenIds = ()
    for piece in pieces:
        if len(taken) + len(piece) <= room_tokens:
            taken += piece
    return taken


def fit(parts: PromptParts, budget_tokens: int, earlier: int = 0) -> PromptParts:
    """Cut ``parts`` to at most ``budget_tokens`` tokens (at least one), and so many jumps of settled ones more where it
    is to start ``earlier``.

    The suffix is cut from its end. Then the settled tokens, those between and, only if nothing else is left, the tail
    are cut from their starts. The settled tokens lose whole jumps.
    """
    assert budget_tokens >= 1
    jump = jump_of(budget_tokens)
    tail = parts.tail[-budget_tokens:]
    above = len(parts.settled) + len(parts.between)
    # What the text before the cursor leaves, also in whole jumps, because the suffix comes first in some templates.
    spare = max(0, budget_tokens - len(tail) - above) // jump * jump
    most = max(spare, int(budget_tokens * SUFFIX_SHARE))
    if most > budget_tokens - len(tail):  # a line so long that it leaves little: what it leaves shrinks in jumps
        most = (budget_tokens - len(tail)) // jump * jump
    suffix = parts.suffix[:most]
    excess = above + len(tail) + len(suffix) - budget_tokens
    jumps = max(0, -(-excess // jump) - earlier) if excess > 0 else 0
    drop = min(jumps * jump, above)
    between = parts.between[max(0, drop - len(parts.settled)) :]
    return PromptParts(parts.settled[drop:], tail, suffix, between=between)
